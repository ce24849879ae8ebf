import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Actor } from "@mall/kernel/identity/actor";
import { listByOrder } from "../db/payments";
import { refundsOfOrder } from "../db/refunds";
import type { Deps } from "../deps";
import type { PaymentWithRefunds } from "./get-payment";

/**
 * The caller's payments of an order. A user gets only payments the user made, so a foreign order, an unknown one
 * and one without a payment all have none; a guest without the order's secret gets ORDER_NOT_FOUND.
 */
export const listPayments =
  (deps: Deps) =>
  async (actor: Actor, orderId: Id<"ord">): Promise<PaymentWithRefunds[]> => {
    const held =
      actor.orderSecret !== undefined && deps.secrets.isSecretOf(actor.orderSecret, "order", orderId, 1);
    if (!held && !actor.user) throw notFound("ORDER");
    const [payments, refunds] = await Promise.all([
      listByOrder(deps.db, orderId),
      refundsOfOrder(deps.db, deps.notes, orderId),
    ]);
    return payments
      .filter((payment) => (payment.userId ? payment.userId === actor.user?.id : held))
      .map((payment) => ({ payment, refunds: refunds.filter((r) => r.paymentId === payment.id) }));
  };

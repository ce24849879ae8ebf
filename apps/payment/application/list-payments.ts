import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Actor } from "@mall/kernel/identity/actor";
import { listByOrder } from "../db/payments";
import type { Deps } from "../deps";
import type { Payment } from "../domain/payment";

/**
 * The caller's payments of an order. A user gets only payments the user made, so a foreign order, an unknown one
 * and one without a payment all have none; a guest without the order's secret gets ORDER_NOT_FOUND.
 */
export const listPayments =
  (deps: Deps) =>
  async (actor: Actor, orderId: Id<"ord">): Promise<Payment[]> => {
    const held =
      actor.orderSecret !== undefined && deps.secrets.isSecretOf(actor.orderSecret, "order", orderId, 1);
    if (!held && !actor.user) throw notFound("ORDER");
    const payments = await listByOrder(deps.db, orderId);
    return payments.filter((payment) => (payment.userId ? payment.userId === actor.user?.id : held));
  };

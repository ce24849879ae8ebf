import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { findOrder, setExpiry } from "../db/orders";
import type { Deps } from "../deps";
import { checkUnpaid } from "../domain/order";

/**
 * Lets an order wait for its customer again, also when the begin it ends has not arrived yet; a repetition changes
 * nothing. Faults: ORDER_NOT_FOUND, ORDER_STATE_INVALID unless it is unpaid, OVERTAKEN by a call with a larger sequence.
 */
export const endOrderPayment =
  (deps: Deps) =>
  (orderId: Id<"ord">, expiresAt: Date, sequence: number): Promise<void> =>
    deps.db.tx(async (tx) => {
      for (;;) {
        const order = await findOrder(tx, orderId);
        if (!order) throw notFound("ORDER");
        checkUnpaid(order, sequence);
        if (order.expiresAt && order.paymentSequence === sequence) return;
        if (await setExpiry(tx, order, expiresAt, sequence)) return;
      }
    });

import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { findOrder, setExpiry } from "../db/orders";
import type { Deps } from "../deps";
import { asOf, checkUnpaid, isBeingPaid } from "../domain/order";

/**
 * Takes an unpaid order out of the reach of time and customer; a repetition changes nothing. Faults: ORDER_NOT_FOUND,
 * ORDER_STATE_INVALID, OVERTAKEN by a call with a larger sequence.
 */
export const beginOrderPayment =
  (deps: Deps) =>
  (orderId: Id<"ord">, sequence: number): Promise<void> =>
    deps.db.tx(async (tx) => {
      for (;;) {
        const order = await findOrder(tx, orderId);
        if (!order) throw notFound("ORDER");
        checkUnpaid(asOf(order, deps.clock()), sequence);
        if (isBeingPaid(order) && order.paymentSequence === sequence) return;
        if (await setExpiry(tx, order, undefined, sequence)) return;
      }
    });

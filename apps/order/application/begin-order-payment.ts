import { fault, notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { findOrder, setExpiry } from "../db/orders";
import type { Deps } from "../deps";
import { asOf, isBeingPaid, type OrderState } from "../domain/order";

const cannotBePaid = (state: OrderState) =>
  fault("failed_precondition", "ORDER_STATE_INVALID", `An order that is ${state} cannot be paid.`, {
    metadata: { state },
  });

/** Takes an unpaid order out of the reach of time and customer. Faults: ORDER_NOT_FOUND, ORDER_STATE_INVALID. */
export const beginOrderPayment =
  (deps: Deps) =>
  (orderId: Id<"ord">): Promise<void> =>
    deps.db.tx(async (tx) => {
      for (;;) {
        const order = await findOrder(tx, orderId);
        if (!order) throw notFound("ORDER");
        const { state } = asOf(order, deps.clock());
        if (state !== "PENDING_PAYMENT") throw cannotBePaid(state);
        if (isBeingPaid(order) || (await setExpiry(tx, order, undefined))) return;
      }
    });

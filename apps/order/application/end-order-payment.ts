import { fault, notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { findOrder, setExpiry } from "../db/orders";
import type { Deps } from "../deps";
import { isBeingPaid } from "../domain/order";

/**
 * Lets an order wait for its customer again; a repetition changes nothing. Faults: ORDER_NOT_FOUND, ORDER_STATE_INVALID
 * unless it is unpaid.
 */
export const endOrderPayment =
  (deps: Deps) =>
  (orderId: Id<"ord">, expiresAt: Date): Promise<void> =>
    deps.db.tx(async (tx) => {
      for (;;) {
        const order = await findOrder(tx, orderId);
        if (!order) throw notFound("ORDER");
        const { state } = order;
        if (state !== "PENDING_PAYMENT")
          throw fault(
            "failed_precondition",
            "ORDER_STATE_INVALID",
            `An order that is ${state} does not wait.`,
            {
              metadata: { state },
            },
          );
        if (!isBeingPaid(order) || (await setExpiry(tx, order, expiresAt))) return;
      }
    });

import { fault } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { closeByPayment, insertPayment } from "../db/payments";
import type { Deps } from "../deps";
import { flightEnd } from "../domain/payment";
import { tryAdvance } from "./advance";
import { tombstone } from "./void-payment";

const triesMax = 5;

/**
 * Undoes the live payment of a cancelled order and closes the order: no payment of it can begin any more. The payment
 * that closes it keeps the order's one place for a live payment, a tombstone does where there is none.
 */
export const voidOrderPayments =
  (deps: Deps) =>
  async (orderId: Id<"ord">): Promise<void> => {
    for (let tries = 0; tries < triesMax; tries++) {
      const now = deps.clock();
      const closing = await closeByPayment(deps.db, orderId, flightEnd(now), now);
      if (closing) {
        await tryAdvance(deps, closing);
        return;
      }
      // a payment that begins at this moment takes the place first, and is found by the next try
      const never = { ...tombstone(deps, deps.newId("pay"), orderId), closesOrder: true };
      if (await insertPayment(deps.db, never)) return;
    }
    throw fault("aborted", "PAYMENT_IN_PROGRESS", "A payment of this order is being worked on.", {
      retryAfterSeconds: 1,
    });
  };

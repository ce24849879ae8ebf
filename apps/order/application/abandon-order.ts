import { hasReason } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { abandonId, isAbandoned } from "../db/orders";
import type { Deps } from "../deps";
import { announceCancelled, makeMove } from "./move";

/**
 * Ends the order of a checkout that failed; one that does not exist yet never will. A repetition changes nothing. Fault
 * ORDER_STATE_INVALID once it is paid.
 */
export const abandonOrder =
  (deps: Deps) =>
  (orderId: Id<"ord">, reason: string): Promise<void> =>
    deps.db.tx(async (tx) => {
      // the id is used up by whoever comes first, CreateOrder or this
      if (await abandonId(tx, orderId)) return;
      try {
        const { order, moved } = await makeMove(tx, orderId, "abandon", deps.clock(), (found) =>
          found.state === "CANCELLED" && !found.paidAt ? undefined : { kind: "cancelled", reason },
        );
        if (moved) await announceCancelled(deps, tx, order);
      } catch (error) {
        if (hasReason(error, "ORDER_NOT_FOUND") && (await isAbandoned(tx, orderId))) return;
        throw error;
      }
    });

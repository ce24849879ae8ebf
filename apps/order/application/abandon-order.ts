import { hasReason } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { abandonId, isAbandoned } from "../db/orders";
import type { Deps } from "../deps";
import { carryOut } from "./carry-out";

/**
 * Ends the order of a checkout that failed, also while a payment of it runs; one that does not exist yet never will. A
 * repetition changes nothing. Fault ORDER_STATE_INVALID once it is paid, unless it was cancelled since.
 */
export const abandonOrder =
  (deps: Deps) =>
  async (orderId: Id<"ord">, reason: string): Promise<void> => {
    // the id is used up by whoever comes first, CreateOrder or this
    if (await deps.db.tx((tx) => abandonId(tx, orderId))) return;
    try {
      await carryOut(deps, orderId, { verb: "abandon", reason });
    } catch (error) {
      if (!hasReason(error, "ORDER_NOT_FOUND") || !(await isAbandoned(deps.db, orderId))) throw error;
    }
  };

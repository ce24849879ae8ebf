import type { Id } from "@mall/kernel/id";
import { unlockLines } from "../db/locks";
import type { Deps } from "../deps";

/**
 * Opens the cart that a checkout has locked; a cart it does not hold is left as it is, without an error. The checkout
 * can no longer lock it, so that a lock which comes late leaves nothing behind.
 */
export const unlockCart =
  (deps: Pick<Deps, "db" | "clock">) =>
  (cartId: Id<"cart">, checkoutId: Id<"chk">): Promise<void> =>
    unlockLines(deps.db, cartId, checkoutId, deps.clock());

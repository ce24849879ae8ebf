import type { Id } from "@mall/kernel/id";
import { unlockLines } from "../db/carts";
import type { Deps } from "../deps";

/** Opens the cart that a checkout has locked; a cart it does not hold is left as it is, without an error. */
export const unlockCart =
  (deps: Pick<Deps, "db">) =>
  (cartId: Id<"cart">, checkoutId: Id<"chk">): Promise<void> =>
    unlockLines(deps.db, cartId, checkoutId);

import { fault, notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { convertLines } from "../db/locks";
import type { Deps } from "../deps";

/**
 * Ends the cart that a checkout has locked; a repetition changes nothing. Fault CART_LOCKED when the checkout
 * does not have the cart, CART_NOT_FOUND when there is none.
 */
export const convertCart =
  (deps: Pick<Deps, "db" | "clock">) =>
  async (cartId: Id<"cart">, checkoutId: Id<"chk">): Promise<void> => {
    const converted = await convertLines(deps.db, cartId, checkoutId, deps.clock());
    if (converted === undefined) throw notFound("CART");
    if (!converted) throw fault("aborted", "CART_LOCKED", "This checkout has not locked the cart.");
  };

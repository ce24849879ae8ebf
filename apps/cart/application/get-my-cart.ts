import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { findActiveCart } from "../db/carts";
import type { Deps } from "../deps";
import type { PricedCart } from "../domain/pricing";
import { showCart } from "./offers";

/** The user's cart that is not bought yet. Fault CART_NOT_FOUND when there is none. */
export const getMyCart =
  (deps: Deps) =>
  async (userId: Id<"usr">): Promise<PricedCart> => {
    const cart = await findActiveCart(deps.db, userId);
    if (!cart) throw notFound("CART");
    return showCart(deps, cart);
  };

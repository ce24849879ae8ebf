import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Actor } from "@mall/kernel/identity/actor";
import { findCart } from "../db/carts";
import type { Held } from "../db/held";
import type { Deps } from "../deps";
import type { PricedCart } from "../domain/pricing";
import { holdOf } from "./hold";
import { showCart } from "./offers";

/** The held cart as it is now, at current prices. Fault CART_NOT_FOUND, also for carts of others. */
export async function readCart(deps: Deps, held: Held): Promise<PricedCart> {
  const cart = await findCart(deps.db, held);
  if (!cart) throw notFound("CART");
  return showCart(deps, cart);
}

/** A cart of the actor. Fault CART_NOT_FOUND, also for carts of others. */
export const getCart =
  (deps: Deps) =>
  (actor: Actor, cartId: Id<"cart">): Promise<PricedCart> =>
    readCart(deps, holdOf(deps, actor, cartId));

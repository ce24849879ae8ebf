import { notFound } from "@mall/kernel/fault";
import type { Actor } from "@mall/kernel/identity/actor";
import { setUnits } from "../db/carts";
import type { Deps } from "../deps";
import type { CartLine } from "../domain/cart";
import type { PricedCart } from "../domain/pricing";
import { admit, type CartChange } from "./admit";
import { readCart } from "./get-cart";
import { holdOf } from "./hold";

/**
 * Sets the units of a line; a repetition changes nothing, not even the version. Faults CART_NOT_FOUND,
 * CART_LOCKED, CART_CONVERTED, CART_CLAIMED, VERSION_MISMATCH, ITEM_NOT_FOUND.
 */
export const setItemQuantity =
  (deps: Deps) =>
  async (actor: Actor, { cartId, expectedVersion }: CartChange, line: CartLine): Promise<PricedCart> => {
    const held = holdOf(deps, actor, cartId);
    const change = { held, expectedVersion, now: deps.clock() };
    if (!admit(await setUnits(deps.db, change, line), expectedVersion).known) throw notFound("ITEM");
    return readCart(deps, held);
  };

import type { Actor } from "@mall/kernel/identity/actor";
import { removeLines } from "../db/carts";
import type { Deps } from "../deps";
import type { PricedCart } from "../domain/pricing";
import { admit, type CartChange } from "./admit";
import { readCart } from "./get-cart";
import { holdOf } from "./hold";

/**
 * Removes all lines; an empty cart does not change. A line that is added at the same moment may stay. Faults
 * CART_NOT_FOUND, CART_LOCKED, CART_CONVERTED, CART_CLAIMED, VERSION_MISMATCH.
 */
export const emptyCart =
  (deps: Deps) =>
  async (actor: Actor, { cartId, expectedVersion }: CartChange): Promise<PricedCart> => {
    const held = holdOf(deps, actor, cartId);
    admit(await removeLines(deps.db, { held, expectedVersion, now: deps.clock() }), expectedVersion);
    return readCart(deps, held);
  };

import type { Actor } from "@mall/kernel/identity/actor";
import { putCoupon } from "../db/coupons";
import type { Deps } from "../deps";
import type { PricedCart } from "../domain/pricing";
import { admit, type CartChange } from "./admit";
import { readCart } from "./get-cart";
import { holdOf } from "./hold";

/**
 * Takes the coupon off the cart; a cart without one does not change. Faults CART_NOT_FOUND, CART_LOCKED,
 * CART_CONVERTED, CART_CLAIMED, VERSION_MISMATCH.
 */
export const removeCoupon =
  (deps: Deps) =>
  async (actor: Actor, { cartId, expectedVersion }: CartChange): Promise<PricedCart> => {
    const held = holdOf(deps, actor, cartId);
    admit(await putCoupon(deps.db, { held, expectedVersion, now: deps.clock() }), expectedVersion);
    return readCart(deps, held);
  };

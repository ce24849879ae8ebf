import { notFound } from "@mall/kernel/fault";
import type { Actor } from "@mall/kernel/identity/actor";
import { findCart } from "../db/carts";
import { findCoupon, putCoupon } from "../db/coupons";
import type { Deps } from "../deps";
import { checkWritable } from "../domain/cart";
import { couponNotApplicable, isApplicable, normalCode } from "../domain/coupon";
import type { PricedCart } from "../domain/pricing";
import { admit, type CartChange } from "./admit";
import { readCart } from "./get-cart";
import { holdOf } from "./hold";

/**
 * Puts a coupon on the cart, in place of the one it has; the same one again changes nothing. Redeems nothing. Faults
 * CART_NOT_FOUND, CART_LOCKED, CART_CONVERTED, CART_CLAIMED, VERSION_MISMATCH, COUPON_NOT_APPLICABLE.
 */
export const applyCoupon =
  (deps: Deps) =>
  async (actor: Actor, { cartId, expectedVersion }: CartChange, code: string): Promise<PricedCart> => {
    const held = holdOf(deps, actor, cartId);
    const cart = await findCart(deps.db, held);
    if (!cart) throw notFound("CART");
    checkWritable(cart, expectedVersion);
    const now = deps.clock();
    const coupon = await findCoupon(deps.db, normalCode(code));
    if (!coupon || !isApplicable(coupon, deps.currency, now)) throw couponNotApplicable();
    admit(await putCoupon(deps.db, { held, expectedVersion, now }, coupon.code), expectedVersion);
    return readCart(deps, held);
  };

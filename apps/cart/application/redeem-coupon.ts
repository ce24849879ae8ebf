import type { Id } from "@mall/kernel/id";
import { redeemOnce } from "../db/coupons";
import type { Deps } from "../deps";
import { type Coupon, couponNotApplicable, normalCode } from "../domain/coupon";

/**
 * Redeems a coupon for a checkout; a repetition changes nothing. Fault COUPON_NOT_APPLICABLE: unknown, ended, used up,
 * or the checkout has released a redemption or redeemed another coupon.
 */
export const redeemCoupon =
  (deps: Pick<Deps, "db" | "clock" | "currency">) =>
  async (code: string, checkoutId: Id<"chk">): Promise<Coupon> => {
    const { db, currency, clock } = deps;
    const coupon = await redeemOnce(db, { code: normalCode(code), checkoutId, currency, now: clock() });
    if (!coupon) throw couponNotApplicable();
    return coupon;
  };

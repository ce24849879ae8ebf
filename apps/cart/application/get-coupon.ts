import { notFound } from "@mall/kernel/fault";
import { findCoupon } from "../db/coupons";
import type { Deps } from "../deps";
import { type Coupon, normalCode } from "../domain/coupon";

/** A coupon, also one that has ended. Fault COUPON_NOT_FOUND. */
export const getCoupon =
  (deps: Pick<Deps, "db">) =>
  async (code: string): Promise<Coupon> => {
    const coupon = await findCoupon(deps.db, normalCode(code));
    if (!coupon) throw notFound("COUPON");
    return coupon;
  };

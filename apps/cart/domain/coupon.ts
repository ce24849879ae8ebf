import { fault } from "@mall/kernel/fault";
import type { Money } from "@mall/kernel/money";

/** An amount off a purchase, for a limited number of purchases. */
export interface Coupon {
  /** Upper case. */
  code: string;
  /** Amount off, more than 0. */
  amount: Money;
  redemptionLimit: number;
  /** How many purchases use it. */
  redeemed: number;
  /** The first instant at which it is over; undefined when it never is. */
  expiresAt?: Date;
  createdAt: Date;
}

/** COUPON_NOT_APPLICABLE: unknown, ended or used up. */
export const couponNotApplicable = () =>
  fault("failed_precondition", "COUPON_NOT_APPLICABLE", "This coupon cannot be used, or not any more.");

/** Whether one more purchase in this currency may use the coupon at this instant. */
export const isApplicable = (coupon: Coupon, currency: string, now: Date): boolean =>
  coupon.amount.currency === currency &&
  coupon.redeemed < coupon.redemptionLimit &&
  (coupon.expiresAt === undefined || coupon.expiresAt > now);

/** A code as it is stored; case does not matter to customers. */
export const normalCode = (code: string): string => code.toUpperCase();

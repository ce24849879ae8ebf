import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Cart as CartMessage,
  CartSchema,
  CartState as CartStateMessage,
  type Coupon as CouponMessage,
  CouponSchema,
  ItemIssue,
} from "@mall/gen/mall/cart/v1/cart_pb";
import { invalid } from "@mall/kernel/fault";
import type { Coupon } from "../domain/coupon";
import type { PricedCart } from "../domain/pricing";

/** A priced cart of the domain as the contract shows it. */
export const cartToMessage = (cart: PricedCart): CartMessage =>
  create(CartSchema, {
    id: cart.id,
    state: CartStateMessage[cart.state],
    items: cart.lines.map((line) => ({
      ...line,
      issue: line.issue ? ItemIssue[line.issue] : ItemIssue.UNSPECIFIED,
    })),
    ...cart.totals,
    couponCode: cart.coupon?.code,
    version: cart.version,
    createdAt: timestampFromDate(cart.createdAt),
    updatedAt: timestampFromDate(cart.updatedAt),
  });

/** A coupon of the domain as the contract shows it. */
export const couponToMessage = (coupon: Coupon): CouponMessage =>
  create(CouponSchema, {
    ...coupon,
    expiresAt: coupon.expiresAt && timestampFromDate(coupon.expiresAt),
    createdAt: timestampFromDate(coupon.createdAt),
  });

/** The end of a coupon as a Date. Fault VALIDATION outside the years 1 to 9999, which no column could keep. */
export function endOf(expiresAt: Timestamp | undefined): Date | undefined {
  if (!expiresAt) return undefined;
  const end = timestampDate(expiresAt);
  const year = end.getUTCFullYear();
  if (year >= 1 && year <= 9999) return end;
  throw invalid([{ pointer: "#/expiresAt", detail: "is no instant of the years 1 to 9999" }]);
}

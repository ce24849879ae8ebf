import type { Id } from "@mall/kernel/id";
import { add, type Money, subtract, sum, times, zero } from "@mall/kernel/money";
import type { Cart, CartLine } from "./cart";
import { isApplicable } from "./coupon";

/** A variant as it is sold now. */
export interface Offer {
  productId: Id<"prod">;
  sku: string;
  title: string;
  price: Money;
  /** Units available; undefined when stock is not counted. */
  available?: number;
}

/** Offers by variant; what is absent is not sold. */
export type Offers = ReadonlyMap<Id<"var">, Offer>;

/** Why a line cannot be bought as it is. */
export type LineIssue = "INSUFFICIENT_STOCK" | "OUT_OF_STOCK" | "UNAVAILABLE";

/** A line with what it costs now. */
export interface PricedLine extends CartLine {
  productId: Id<"prod"> | "";
  sku: string;
  title: string;
  unitPrice: Money;
  total: Money;
  available?: number;
  issue?: LineIssue;
}

/** total = subtotal − discountTotal + shippingTotal + taxTotal. */
export interface Totals {
  subtotal: Money;
  discountTotal: Money;
  shippingTotal: Money;
  taxTotal: Money;
  total: Money;
}

/** A cart as it is shown. */
export interface PricedCart extends Omit<Cart, "lines"> {
  lines: PricedLine[];
  totals: Totals;
}

function stockIssue(quantity: number, available: number | undefined): LineIssue | undefined {
  if (available === undefined || available >= quantity) return undefined;
  return available <= 0 ? "OUT_OF_STOCK" : "INSUFFICIENT_STOCK";
}

function priceLine(line: CartLine, offer: Offer | undefined, currency: string): PricedLine {
  if (!offer) {
    const nothing = zero(currency);
    const gone = { productId: "", sku: "", title: "", available: 0, issue: "UNAVAILABLE" } as const;
    return { ...line, ...gone, unitPrice: nothing, total: nothing };
  }
  const { price, ...shown } = offer;
  return {
    ...line,
    ...shown,
    unitPrice: price,
    total: times(price, line.quantity),
    issue: stockIssue(line.quantity, offer.available),
  };
}

/** What the coupon of a cart takes off: at most the subtotal, and nothing once it has ended. */
function discountOf({ coupon, isRedeemed }: Cart, subtotal: Money, now: Date): Money {
  const { currency, minor } = subtotal;
  if (!coupon || !(isRedeemed || isApplicable(coupon, currency, now))) return zero(currency);
  return coupon.amount.minor < minor ? coupon.amount : subtotal;
}

/**
 * A cart at the prices of the offers. A line without an offer stays, costs nothing and has the issue
 * UNAVAILABLE; shipping and tax are zero. Fault CURRENCY_MISMATCH when a price is not in `currency`.
 */
export function priceCart(cart: Cart, offers: Offers, currency: string, now: Date): PricedCart {
  const lines = cart.lines.map((line) => priceLine(line, offers.get(line.variantId), currency));
  const subtotal = sum(
    currency,
    lines.map((line) => line.total),
  );
  const discountTotal = discountOf(cart, subtotal, now);
  const [shippingTotal, taxTotal] = [zero(currency), zero(currency)];
  const total = add(add(subtract(subtotal, discountTotal), shippingTotal), taxTotal);
  return { ...cart, lines, totals: { subtotal, discountTotal, shippingTotal, taxTotal, total } };
}

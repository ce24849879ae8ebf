import { describe, expect, test } from "bun:test";
import { hasReason } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import fc from "fast-check";
import type { Cart, CartLine } from "./cart";
import type { Coupon } from "./coupon";
import { type LineIssue, type Offer, priceCart } from "./pricing";

const variant = (n: number): Id<"var"> => `var_${String(n).padStart(26, "0")}`;
const usd = (minor: bigint) => ({ currency: "USD", minor });

const now = new Date("2026-01-01T00:00:00Z");

function cartOf(...lines: CartLine[]): Cart {
  const id: Id<"cart"> = `cart_${"0".repeat(26)}`;
  return { id, state: "OPEN", version: 1, createdAt: now, updatedAt: now, isRedeemed: false, lines };
}

function offer(minor: bigint, available?: number, currency = "USD"): Offer {
  const productId: Id<"prod"> = `prod_${"0".repeat(26)}`;
  return { productId, sku: "MUG", title: "Mug", price: { currency, minor }, available };
}

describe("a priced cart", () => {
  test("costs the sum of its lines, in their order", () => {
    const cart = cartOf({ variantId: variant(2), quantity: 3 }, { variantId: variant(1), quantity: 1 });
    const offers = new Map([
      [variant(1), offer(1250n)],
      [variant(2), offer(999n)],
    ]);
    const { lines, totals } = priceCart(cart, offers, "USD", now);
    expect(lines.map((line) => [line.variantId, line.unitPrice, line.total])).toEqual([
      [variant(2), usd(999n), usd(2997n)],
      [variant(1), usd(1250n), usd(1250n)],
    ]);
    expect(totals).toEqual({
      subtotal: usd(4247n),
      discountTotal: usd(0n),
      shippingTotal: usd(0n),
      taxTotal: usd(0n),
      total: usd(4247n),
    });
  });

  test("that is empty costs nothing in the mall's currency", () => {
    expect(priceCart(cartOf(), new Map(), "JPY", now).totals.total).toEqual({ currency: "JPY", minor: 0n });
  });

  const stock: [number, number | undefined, LineIssue | undefined][] = [
    [2, undefined, undefined],
    [2, 3, undefined],
    [2, 2, undefined],
    [2, 1, "INSUFFICIENT_STOCK"],
    [2, 0, "OUT_OF_STOCK"],
    [2, -1, "OUT_OF_STOCK"],
  ];
  test.each(stock)("asking for %p units of %p has the issue %p", (quantity, available, issue) => {
    const cart = cartOf({ variantId: variant(1), quantity });
    const [line] = priceCart(cart, new Map([[variant(1), offer(100n, available)]]), "USD", now).lines;
    expect(line?.issue).toBe(issue);
    expect(line?.available).toBe(available);
    expect(line?.total).toEqual(usd(100n * BigInt(quantity)));
  });

  test("keeps a line that is no longer sold, at no price", () => {
    const cart = cartOf({ variantId: variant(1), quantity: 2 }, { variantId: variant(2), quantity: 1 });
    const { lines, totals } = priceCart(cart, new Map([[variant(2), offer(700n)]]), "USD", now);
    expect(lines[0]).toEqual({
      variantId: variant(1),
      quantity: 2,
      productId: "",
      sku: "",
      title: "",
      available: 0,
      issue: "UNAVAILABLE",
      unitPrice: usd(0n),
      total: usd(0n),
    });
    expect(totals.total).toEqual(usd(700n));
  });

  test("refuses to add up different currencies", () => {
    const cart = cartOf({ variantId: variant(1), quantity: 1 });
    let thrown: unknown;
    try {
      priceCart(cart, new Map([[variant(1), offer(1n, undefined, "EUR")]]), "USD", now);
    } catch (error) {
      thrown = error;
    }
    expect(hasReason(thrown, "CURRENCY_MISMATCH")).toBe(true);
  });
});

function coupon(minor: bigint, more: Partial<Coupon> = {}): Coupon {
  const amount = usd(minor);
  return { code: "SPRING", amount, redemptionLimit: 2, redeemed: 1, createdAt: now, ...more };
}

describe("a coupon", () => {
  const offers = new Map([[variant(1), offer(500n)]]);
  const totalsOf = (applied: Coupon | undefined, isRedeemed = false) => {
    const cart = { ...cartOf({ variantId: variant(1), quantity: 2 }), coupon: applied, isRedeemed };
    const { discountTotal, total } = priceCart(cart, offers, "USD", now).totals;
    return [discountTotal.minor, total.minor];
  };
  const later = (ms: number) => new Date(now.getTime() + ms);

  const cases: [string, Coupon, bigint][] = [
    ["of less than the goods", coupon(300n), 300n],
    ["of as much as the goods", coupon(1000n), 1000n],
    ["of more than the goods", coupon(1001n), 1000n],
    ["that ends in a millisecond", coupon(300n, { expiresAt: later(1) }), 300n],
    ["that ends now", coupon(300n, { expiresAt: now }), 0n],
    ["that has ended", coupon(300n, { expiresAt: later(-1) }), 0n],
    ["that is used up", coupon(300n, { redeemed: 2 }), 0n],
    ["of another currency", coupon(300n, { amount: { currency: "EUR", minor: 300n } }), 0n],
  ];
  test.each(cases)("%s takes the right amount off", (_, applied, discount) => {
    expect(totalsOf(applied)).toEqual([discount, 1000n - discount]);
  });

  test("that the cart's own checkout redeemed does not end any more", () => {
    expect(totalsOf(coupon(300n, { redeemed: 2, expiresAt: now }), true)).toEqual([300n, 700n]);
    expect(totalsOf(undefined, true)).toEqual([0n, 1000n]);
  });

  test("never makes a cart cost less than nothing, for 10,000 random carts", () => {
    const lines = fc.array(
      fc.record({
        minor: fc.bigInt(0n, 10n ** 12n),
        quantity: fc.integer({ min: 1, max: 999 }),
        sold: fc.boolean(),
      }),
      { maxLength: 100 },
    );
    const applied = fc.option(
      fc.record({
        minor: fc.bigInt(1n, 10n ** 15n),
        endsMs: fc.option(fc.integer({ min: -2, max: 2 }), { nil: undefined }),
        redeemed: fc.integer({ min: 0, max: 2 }),
      }),
      { nil: undefined },
    );
    const property = fc.property(lines, applied, fc.boolean(), (wanted, terms, isRedeemed) => {
      const cart = {
        ...cartOf(...wanted.map(({ quantity }, n) => ({ variantId: variant(n), quantity }))),
        ...{
          coupon:
            terms &&
            coupon(terms.minor, {
              ...{ redeemed: terms.redeemed },
              expiresAt: terms.endsMs === undefined ? undefined : later(terms.endsMs),
            }),
          isRedeemed,
        },
      };
      const sold = wanted.flatMap(({ minor, sold }, n): [Id<"var">, Offer][] =>
        sold ? [[variant(n), offer(minor)]] : [],
      );
      const { totals } = priceCart(cart, new Map(sold), "USD", now);
      const goods = wanted.reduce(
        (sum, { minor, quantity, sold }) => sum + (sold ? minor * BigInt(quantity) : 0n),
        0n,
      );
      const counts = terms && (isRedeemed || ((terms.endsMs ?? 1) > 0 && terms.redeemed < 2));
      const discount = counts ? (terms.minor < goods ? terms.minor : goods) : 0n;
      expect(totals).toEqual({
        ...{ subtotal: usd(goods), discountTotal: usd(discount), total: usd(goods - discount) },
        ...{ shippingTotal: usd(0n), taxTotal: usd(0n) },
      });
      expect(totals.total.minor >= 0n).toBe(true);
    });
    fc.assert(property, { numRuns: 10_000, seed: 26 });
  });
});

import { describe, expect, test } from "bun:test";
import { hasReason } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Cart, CartLine } from "./cart";
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

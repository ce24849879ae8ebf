import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { checkShippingOption, computeTotals, shippingOptions } from "./rates";

const usd = (minor: bigint) => ({ currency: "USD", minor });
const texas = { country: "US", region: "tx" };

describe("totals", () => {
  test("follow total = subtotal - discount + shipping + tax", () => {
    const totals = computeTotals([usd(2400n), usd(999n)], "USD", texas, "standard");
    expect(totals).toEqual({
      subtotal: usd(3399n),
      discountTotal: usd(0n),
      shippingTotal: usd(599n),
      taxTotal: usd(250n),
      total: usd(4248n),
    });
  });

  test("tax only goods where shipping is not taxed, and nothing where no rate is known", () => {
    expect(computeTotals([usd(10000n)], "USD", { country: "US", region: "CA" }, "express").taxTotal).toEqual(
      usd(725n),
    );
    expect(computeTotals([usd(10000n)], "USD", { country: "NZ", region: "" }, "standard").taxTotal).toEqual(
      usd(0n),
    );
    expect(computeTotals([usd(10000n)], "USD", { country: "US", region: "OR" }, "standard").taxTotal).toEqual(
      usd(0n),
    );
  });
});

describe("a discount", () => {
  const goods = (minor: bigint, discount: bigint) =>
    computeTotals([usd(minor)], "USD", { country: "US", region: "CA" }, "standard", usd(discount));

  test("comes off the goods before tax", () => {
    expect(goods(10_000n, 2_000n)).toMatchObject({ discountTotal: usd(2_000n), taxTotal: usd(580n) });
  });

  test("is at most what the goods cost; shipping and tax on it stay", () => {
    expect(goods(500n, 2_000n)).toEqual({
      subtotal: usd(500n),
      discountTotal: usd(500n),
      shippingTotal: usd(599n),
      taxTotal: usd(0n),
      total: usd(599n),
    });
  });

  test("counts when free shipping is decided", () => {
    expect(goods(10_001n, 1n).shippingTotal).toEqual(usd(0n));
    expect(goods(10_001n, 2n).shippingTotal).toEqual(usd(599n));
  });

  test("in another currency or below zero is refused", () => {
    const off = (discount: { currency: string; minor: bigint }) => () =>
      computeTotals([usd(100n)], "USD", texas, "standard", discount);
    expect(off({ currency: "EUR", minor: 1n })).toThrow("Cannot combine");
    expect(off(usd(-1n))).toThrow("not negative");
  });
});

describe("random carts", () => {
  /** The rates said again, apart from the code: destination, millionths of tax, whether shipping is taxed. */
  const destinations = [
    { to: { country: "US", region: " ca" }, rate: 72_500n, shipping: false },
    { to: { country: "US", region: "NY" }, rate: 40_000n, shipping: true },
    { to: { country: "US", region: "tx" }, rate: 62_500n, shipping: true },
    { to: { country: "US", region: "WA" }, rate: 65_000n, shipping: true },
    { to: { country: "US", region: "OR" }, rate: 0n, shipping: true },
    { to: { country: "GB", region: "" }, rate: 200_000n, shipping: true },
    { to: { country: "DE", region: "CA" }, rate: 190_000n, shipping: true },
    { to: { country: "FR", region: "" }, rate: 200_000n, shipping: true },
    { to: { country: "NZ", region: "NY" }, rate: 0n, shipping: true },
  ];
  const minor = fc.oneof(fc.bigInt(0n, 12_000n), fc.bigInt(0n, 10n ** 12n));
  const carts = fc.record({
    lines: fc.array(minor, { minLength: 1, maxLength: 100, size: "medium" }),
    destination: fc.constantFrom(...destinations),
    option: fc.constantFrom("standard", "express"),
    discount: fc.option(fc.oneof(minor, fc.bigInt(0n, 2n ** 62n)), { nil: undefined }),
  });
  test("reconcile to the minor unit, 100,000 of them", () => {
    const property = fc.property(
      carts,
      ({ lines, destination: { to, rate, shipping }, option, discount }) => {
        const totals = computeTotals(
          lines.map(usd),
          "USD",
          to,
          option,
          discount === undefined ? undefined : usd(discount),
        );
        const subtotal = lines.reduce((a, b) => a + b, 0n);
        const off = (discount ?? 0n) < subtotal ? (discount ?? 0n) : subtotal;
        const ship = shippingOptions(to, usd(subtotal - off)).find(({ code }) => code === option)!.price
          .minor;
        const taxable = subtotal - off + (shipping ? ship : 0n);
        const tax = (2n * taxable * rate + 1_000_000n) / 2_000_000n;
        const total = subtotal - off + ship + tax;
        const got = Object.values(totals).map(({ minor }) => minor);
        const want = [subtotal, off, ship, tax, total];
        return got.length === want.length && got.every((amount, index) => amount === want[index]);
      },
    );
    fc.assert(property, { numRuns: 100_000 });
  });
});

describe("shipping", () => {
  test("is free at home from 100.00 with the standard option only", () => {
    const prices = (to: { country: string; region: string }, subtotal: bigint) =>
      shippingOptions(to, usd(subtotal)).map((option) => [option.code, option.price.minor]);
    expect(prices(texas, 9_999n)).toEqual([
      ["standard", 599n],
      ["express", 1499n],
    ]);
    expect(prices(texas, 10_000n)).toEqual([
      ["standard", 0n],
      ["express", 1499n],
    ]);
    expect(prices({ country: "DE", region: "" }, 10_000n)).toEqual([
      ["standard", 1999n],
      ["express", 3999n],
    ]);
  });

  test("options that do not exist are refused with the ones that do", () => {
    expect(() => checkShippingOption("drone")).toThrow("standard, express");
  });
});

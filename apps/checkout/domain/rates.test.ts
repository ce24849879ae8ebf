import { describe, expect, test } from "bun:test";
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

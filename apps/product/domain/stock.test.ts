import { describe, expect, test } from "bun:test";
import { faultInfo } from "@mall/kernel/fault";
import { type Id, idOf } from "@mall/kernel/id";
import { availableOf, checkLines, type Stock } from "./stock";

const variant = (n: number): Id<"var"> => idOf("var", `00000000-0000-7000-8000-00000000000${n}`);
const stock = (n: number, over: Partial<Stock> = {}): [string, Stock] => [
  variant(n),
  { variantId: variant(n), trackInventory: true, sold: true, onHand: 5, reserved: 2, version: 1, ...over },
];

describe("lines", () => {
  const refusalOf = (lines: [number, number][], ...stocks: [string, Stock][]) => {
    try {
      const asked = lines.map(([n, quantity]) => ({ variantId: variant(n), quantity }));
      checkLines(asked, new Map(stocks));
      return undefined;
    } catch (error) {
      const { reason, metadata } = faultInfo(error)!;
      return [reason, metadata];
    }
  };

  test("are served up to the last available unit", () => {
    expect(availableOf(stock(1)[1])).toBe(3);
    expect(refusalOf([[1, 3]], stock(1))).toBeUndefined();
    expect(refusalOf([[1, 4]], stock(1))).toEqual([
      "OUT_OF_STOCK",
      { variantId: variant(1), available: "3" },
    ]);
  });

  test("name the first short variant in their own order", () => {
    const lines: [number, number][] = [
      [3, 1],
      [2, 9],
      [1, 9],
    ];
    expect(refusalOf(lines, stock(1), stock(2), stock(3))).toMatchObject([
      "OUT_OF_STOCK",
      { variantId: variant(2) },
    ]);
  });

  test("of variants that are not tracked need no units", () => {
    expect(
      refusalOf([[1, 999]], stock(1, { trackInventory: false, onHand: 0, reserved: 0 })),
    ).toBeUndefined();
  });

  test("of unknown or withdrawn variants are refused", () => {
    const unavailable = ["ITEM_UNAVAILABLE", { variantId: variant(1) }];
    expect(refusalOf([[1, 1]])).toEqual(unavailable);
    expect(refusalOf([[1, 1]], stock(1, { sold: false }))).toEqual(unavailable);
  });
});

import { describe, expect, test } from "bun:test";
import { faultInfo } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { type CartLine, type CartState, checkWritable, linesMax, quantityMax, withUnits } from "./cart";

const variant = (n: number): Id<"var"> => `var_${String(n).padStart(26, "0")}`;
const line = (n: number, quantity: number): CartLine => ({ variantId: variant(n), quantity });

function reasonOf(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    return faultInfo(error)?.reason;
  }
}

describe("a change", () => {
  const cases: [CartState, number | undefined, string | undefined][] = [
    ["OPEN", undefined, undefined],
    ["OPEN", 3, undefined],
    ["OPEN", 2, "VERSION_MISMATCH"],
    ["OPEN", 4, "VERSION_MISMATCH"],
    ["LOCKED", undefined, "CART_LOCKED"],
    ["LOCKED", 3, "CART_LOCKED"],
    ["LOCKED", 2, "CART_LOCKED"],
    ["CONVERTED", undefined, "CART_CONVERTED"],
    ["CONVERTED", 3, "CART_CONVERTED"],
    ["CONVERTED", 2, "CART_CONVERTED"],
    ["CLAIMED", undefined, "CART_CLAIMED"],
    ["CLAIMED", 3, "CART_CLAIMED"],
    ["CLAIMED", 2, "CART_CLAIMED"],
  ];
  test.each(cases)("of a cart %s at version 3, based on %p, ends with %p", (state, expected, reason) => {
    expect(reasonOf(() => checkWritable({ state, version: 3 }, expected))).toBe(reason);
  });
});

describe("adding units", () => {
  test("puts a new variant at the end and leaves the given lines alone", () => {
    const lines = [line(1, 2), line(2, 3)];
    expect(withUnits(lines, line(3, 1))).toEqual([line(1, 2), line(2, 3), line(3, 1)]);
    expect(lines).toEqual([line(1, 2), line(2, 3)]);
  });

  test("adds to a line where it stands", () => {
    const lines = [line(1, 2), line(2, 3)];
    expect(withUnits(lines, line(1, 5))).toEqual([line(1, 7), line(2, 3)]);
    expect(lines).toEqual([line(1, 2), line(2, 3)]);
  });

  test("stops at the most units of a line", () => {
    expect(withUnits([line(1, quantityMax - 1)], line(1, 1))).toEqual([line(1, quantityMax)]);
    expect(reasonOf(() => withUnits([line(1, quantityMax)], line(1, 1)))).toBe("QUANTITY_LIMIT");
    expect(reasonOf(() => withUnits([], line(1, quantityMax + 1)))).toBe("QUANTITY_LIMIT");
  });

  test("stops at the most lines of a cart, but not for a line that is there", () => {
    const full = Array.from({ length: linesMax }, (_, n) => line(n, 1));
    expect(reasonOf(() => withUnits(full, line(linesMax, 1)))).toBe("CART_LIMIT");
    expect(withUnits(full.slice(1), line(linesMax, 1))).toHaveLength(linesMax);
    expect(withUnits(full, line(0, 1))[0]).toEqual(line(0, 2));
  });
});

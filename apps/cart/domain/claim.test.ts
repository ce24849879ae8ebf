import { describe, expect, test } from "bun:test";
import { hasReason } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import fc from "fast-check";
import { type CartLine, linesMax, quantityMax } from "./cart";
import { changedLines, mergeLines } from "./claim";

const variant = (n: number): Id<"var"> => `var_${String(n).padStart(26, "0")}`;

/** Lines of a cart, over few variants so that two carts share some. */
const lines = (most = 60) =>
  fc
    .uniqueArray(
      fc.record({
        variantId: fc.integer({ min: 0, max: most }).map(variant),
        quantity: fc.oneof(fc.integer({ min: 1, max: quantityMax }), fc.integer({ min: 1, max: 5 })),
      }),
      { selector: ({ variantId }) => variantId, maxLength: linesMax },
    )
    .map((cart): CartLine[] => cart);

const unitsOf = (cart: readonly CartLine[]) =>
  new Map(cart.map(({ variantId, quantity }) => [variantId, quantity]));
const idsOf = (cart: readonly CartLine[]) => cart.map(({ variantId }) => variantId);
const sorted = (cart: readonly CartLine[]) => cart.toSorted((a, b) => (a.variantId < b.variantId ? -1 : 1));
const runs = { numRuns: 5_000, seed: 7 };

describe("a merge", () => {
  test("is the union: every unit of both carts, up to the most units of a line", () => {
    const property = fc.property(lines(), lines(), (mine, theirs) => {
      const merged = unitsOf(mergeLines(mine, theirs));
      const [a, b] = [unitsOf(mine), unitsOf(theirs)];
      expect(new Set(merged.keys())).toEqual(new Set([...a.keys(), ...b.keys()]));
      for (const [id, quantity] of merged) {
        expect(quantity).toBe(Math.min((a.get(id) ?? 0) + (b.get(id) ?? 0), quantityMax));
      }
    });
    fc.assert(property, runs);
  });

  test("keeps the order: the user's lines, then the guest's", () => {
    const property = fc.property(lines(), lines(), (mine, theirs) => {
      const known = new Set(idsOf(mine));
      const fresh = idsOf(theirs).filter((id) => !known.has(id));
      expect(idsOf(mergeLines(mine, theirs))).toEqual([...idsOf(mine), ...fresh]);
    });
    fc.assert(property, runs);
  });

  test("has the same quantities whichever cart is the user's, and in whatever order carts are claimed", () => {
    const property = fc.property(lines(30), lines(30), lines(30), (a, b, c) => {
      expect(sorted(mergeLines(a, b))).toEqual(sorted(mergeLines(b, a)));
      expect(sorted(mergeLines(mergeLines(a, b), c))).toEqual(sorted(mergeLines(a, mergeLines(c, b))));
    });
    fc.assert(property, runs);
  });

  test("with an empty cart is the other cart, so that claiming it again changes nothing", () => {
    const property = fc.property(lines(), lines(), (mine, theirs) => {
      const merged = mergeLines(mine, theirs);
      expect(mergeLines(merged, [])).toEqual(merged);
      expect(mergeLines([], theirs)).toEqual(theirs);
      expect(changedLines(merged, merged)).toEqual([]);
    });
    fc.assert(property, runs);
  });

  test("changes exactly the lines that are new or have more units", () => {
    const property = fc.property(lines(), lines(), (mine, theirs) => {
      const merged = mergeLines(mine, theirs);
      const changed = changedLines(mine, merged);
      const written = new Map([...unitsOf(mine), ...unitsOf(changed)]);
      expect(written).toEqual(unitsOf(merged));
      const before = unitsOf(mine);
      for (const { variantId, quantity } of changed)
        expect(quantity).toBeGreaterThan(before.get(variantId) ?? 0);
    });
    fc.assert(property, runs);
  });

  test("of more lines than a cart may have is refused", () => {
    const property = fc.property(lines(150), lines(150), (mine, theirs) => {
      const count = new Set([...idsOf(mine), ...idsOf(theirs)]).size;
      let thrown: unknown;
      try {
        expect(mergeLines(mine, theirs)).toHaveLength(count);
      } catch (error) {
        thrown = error;
      }
      expect(thrown === undefined).toBe(count <= linesMax);
      expect(hasReason(thrown, "CART_LIMIT")).toBe(count > linesMax);
    });
    const full = (from: number) =>
      Array.from({ length: linesMax }, (_, n): CartLine => ({ variantId: variant(from + n), quantity: 1 }));
    const examples: [CartLine[], CartLine[]][] = [
      [full(0), full(0)],
      [full(0), full(1)],
      [full(0), []],
    ];
    fc.assert(property, { ...runs, examples });
  });
});

import { expect, test } from "bun:test";
import fc from "fast-check";
import { nextState, type OrderMove, type OrderState, transitions } from "./order";

const states = Object.keys(transitions) as OrderState[];
const moves: OrderMove[] = ["pay", "abandon", "expire", "cancel", "ship", "deliver", "complete", "refund"];

test("every state refuses every move the table does not have, loudly", () => {
  for (const state of states) {
    for (const move of moves) {
      const next = transitions[state][move];
      if (next) expect(nextState(state, move)).toBe(next);
      else expect(() => nextState(state, move)).toThrow(`An order that is ${state} cannot ${move}.`);
    }
  }
});

test("whatever is tried in whatever order, an order obeys the table and what must never happen does not", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...moves), { maxLength: 40 }), (tried) => {
      const lived: OrderState[] = ["PENDING_PAYMENT"];
      for (const move of tried) {
        const state = lived.at(-1)!;
        try {
          lived.push(nextState(state, move));
        } catch {
          expect(transitions[state][move]).toBeUndefined();
        }
      }
      const paid = lived.indexOf("PAID");
      const reached = (state: OrderState) => lived.includes(state);
      // nothing is shipped or refunded that was not paid, nothing that left the warehouse is cancelled, and an end is one
      if (reached("SHIPPED") || reached("REFUNDED")) expect(paid).toBeGreaterThan(-1);
      if (reached("SHIPPED")) expect(reached("CANCELLED")).toBe(false);
      expect(
        lived.filter((state) => state === "CANCELLED" || state === "REFUNDED").length,
      ).toBeLessThanOrEqual(1);
      expect(new Set(lived).size).toBe(lived.length);
    }),
    { numRuns: 5000 },
  );
});

test("a cancelled or refunded order stays what it is", () => {
  expect([transitions.CANCELLED, transitions.REFUNDED]).toEqual([{}, {}]);
});

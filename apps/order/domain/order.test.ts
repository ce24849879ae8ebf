import { expect, test } from "bun:test";
import { nextState, type OrderMove, type OrderState, transitions } from "./order";

const states = Object.keys(transitions) as OrderState[];
const moves: OrderMove[] = ["pay", "cancel", "ship", "deliver", "complete", "refund"];

test("every state refuses every move the table does not have, loudly", () => {
  for (const state of states) {
    for (const move of moves) {
      const next = transitions[state][move];
      if (next) expect(nextState(state, move)).toBe(next);
      else expect(() => nextState(state, move)).toThrow(`An order that is ${state} cannot ${move}.`);
    }
  }
});

test("a paid order cannot be cancelled and a cancelled one cannot be paid", () => {
  expect(transitions.PAID.cancel).toBeUndefined();
  expect(transitions.CANCELLED).toEqual({});
});

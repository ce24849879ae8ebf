import { expect, test } from "bun:test";
import { type Checkout, type CheckoutState, checkMove, isTerminal, transitions } from "./checkout";

const states = Object.keys(transitions) as CheckoutState[];

test("every move is legal exactly when the table has it", () => {
  for (const from of states) {
    for (const to of states) {
      const move = () => checkMove({ state: from } as Checkout, to);
      if (transitions[from].includes(to)) expect(move).not.toThrow();
      else expect(move).toThrow(`${from} cannot become ${to}`);
    }
  }
});

test("the end is completed or failed, every other state leads there, and taken money is never undone", () => {
  expect(states.filter(isTerminal)).toEqual(["COMPLETED", "FAILED"]);
  const reaches = (from: CheckoutState, seen = new Set<CheckoutState>()): boolean =>
    isTerminal(from) || transitions[from].some((to) => !seen.has(to) && reaches(to, seen.add(to)));
  expect(states.every((state) => reaches(state))).toBe(true);
  expect(transitions.CAPTURED).toEqual(["COMPLETED"]);
});

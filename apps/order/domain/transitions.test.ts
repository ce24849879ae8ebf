import { expect, test } from "bun:test";
import { faultInfo } from "@mall/kernel/fault";
import { busy, nextPhase, type OrderPhase, type OrderVerb, stateOf, transitions } from "./transitions";

const phases = Object.keys(transitions) as OrderPhase[];
const verbs: OrderVerb[] = [
  ...(["beginPayment", "endPayment", "pay", "cancel", "abandon"] as const),
  ...(["expire", "ship", "deliver", "complete", "refund"] as const),
];

/** What a move ends with: a phase, or the fault's reason and the state it names. */
function resultOf(phase: OrderPhase, verb: OrderVerb): string {
  try {
    return nextPhase(phase, verb);
  } catch (error) {
    const info = faultInfo(error);
    return `${info?.reason} ${info?.metadata.state}`;
  }
}

test("every phase refuses every move the table does not have, loudly and with its state", () => {
  for (const phase of phases) {
    for (const verb of verbs) {
      const next = transitions[phase][verb];
      if (next === busy) expect(resultOf(phase, verb)).toStartWith("ORDER_PAYMENT_IN_PROGRESS");
      else expect(resultOf(phase, verb)).toBe(next ?? `ORDER_STATE_INVALID ${stateOf(phase)}`);
    }
  }
});

test("the table has exactly the moves of the design", () => {
  const moves = phases.flatMap((phase) =>
    Object.entries(transitions[phase])
      .filter(([, next]) => next !== phase)
      .map(([verb, next]) => `${phase} ${verb} ${next}`),
  );
  expect(moves.sort()).toEqual(
    [
      ...["WAITING beginPayment PAYING", "WAITING pay PAID", "WAITING cancel CANCELLED"],
      ...["WAITING abandon CANCELLED", "WAITING expire CANCELLED"],
      ...["PAYING endPayment WAITING", "PAYING pay PAID", "PAYING cancel BUSY", "PAYING abandon CANCELLED"],
      ...["PAID cancel CANCELLED", "PAID ship SHIPPED", "PAID refund REFUNDED"],
      ...["SHIPPED deliver DELIVERED", "SHIPPED refund REFUNDED"],
      ...["DELIVERED complete COMPLETED", "DELIVERED refund REFUNDED", "COMPLETED refund REFUNDED"],
    ].sort(),
  );
});

test("no final phase is left, and a paid order is not abandoned", () => {
  for (const phase of ["CANCELLED", "REFUNDED"] as const)
    expect(new Set(Object.values(transitions[phase]))).toEqual(new Set([phase]));
  for (const phase of ["PAID", "SHIPPED", "DELIVERED", "COMPLETED", "REFUNDED"] as const)
    expect(transitions[phase].abandon).toBeUndefined();
});

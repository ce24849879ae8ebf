import { describe, expect, test } from "bun:test";
import {
  backoffSeconds,
  changeOf,
  checkMove,
  dueOf,
  isInFlight,
  newPayment,
  type Outcome,
  owedOf,
  type Payment,
  type PaymentState,
  transitions,
} from "./payment";
import { refundable } from "./refund";

const now = new Date("2026-01-01T00:00:00Z");
const later = (seconds: number) => new Date(now.getTime() + seconds * 1000);
const states = Object.keys(transitions) as PaymentState[];

const fresh = newPayment(
  {
    id: "pay_00000000000000000000000001",
    orderId: "ord_00000000000000000000000001",
    amount: { currency: "USD", minor: 100n },
    provider: "fake",
    capture: false,
  },
  now,
);
const payment = (over: Partial<Payment>): Payment => {
  const isTaken = over.state === "CAPTURED" || over.state === "REFUNDED";
  const back = over.state === "REFUNDED" ? 100n : 0n;
  return { ...fresh, captured: isTaken ? 100n : 0n, refunded: back, returned: back, ...over };
};

const outcomes: Record<Outcome["kind"], Outcome> = {
  authorized: { kind: "authorized", ref: "r" },
  captured: { kind: "captured", ref: "r", captured: 100n },
  declined: { kind: "declined", ref: "r", code: "card_declined" },
  voided: { kind: "voided", ref: "r" },
};

describe("a payment", () => {
  test("moves by the table and in no other way", () => {
    for (const from of states) {
      for (const to of states) {
        const move = () => checkMove(payment({ state: from }), to);
        if (transitions[from].includes(to)) expect(move).not.toThrow();
        else expect(move).toThrow("cannot become");
      }
    }
  });

  test("becomes what the provider says, and stays what it is when that is known already", () => {
    const next = (state: PaymentState, kind: Outcome["kind"]) =>
      changeOf(payment({ state }), outcomes[kind])?.state;
    const table: Record<PaymentState, Partial<Record<Outcome["kind"], PaymentState>>> = {
      PROCESSING: {
        ...{ authorized: "AUTHORIZED", captured: "CAPTURED", declined: "DECLINED", voided: "VOIDED" },
      },
      AUTHORIZED: { captured: "CAPTURED", declined: "VOIDED", voided: "VOIDED" },
      CAPTURED: {},
      DECLINED: {},
      VOIDED: {},
      REFUNDED: {},
    };
    for (const state of states) {
      for (const kind of Object.keys(outcomes) as Outcome["kind"][]) {
        expect([state, kind, next(state, kind)]).toEqual([state, kind, table[state][kind]]);
      }
    }
  });

  test("that has ended keeps its state when money comes late, and owes it back", () => {
    for (const state of ["VOIDED", "DECLINED"] as const) {
      const change = changeOf(payment({ state }), outcomes.captured)!;
      expect(change).toEqual({ captured: 100n, undo: true, providerRef: "r" });
      const late = payment({ state, ...change });
      expect(owedOf(late)).toBe("refund");
      expect(changeOf(late, outcomes.captured)).toBeUndefined();
      expect(owedOf({ ...late, refunded: 100n })).toBe("nothing");
    }
    expect(changeOf(payment({ state: "REFUNDED" }), outcomes.captured)).toBeUndefined();
  });

  test("owes what was asked for", () => {
    const owed = (over: Partial<Payment>) => owedOf(payment(over));
    expect(owed({ state: "PROCESSING" })).toBe("resolve");
    expect(owed({ state: "AUTHORIZED" })).toBe("nothing");
    expect(owed({ state: "AUTHORIZED", capture: true })).toBe("capture");
    expect(owed({ state: "AUTHORIZED", capture: true, undo: true })).toBe("void");
    expect(owed({ state: "CAPTURED" })).toBe("nothing");
    expect(owed({ state: "CAPTURED", undo: true })).toBe("refund");
    expect(owed({ state: "CAPTURED", undo: true, refunded: 99n })).toBe("refund");
    expect(owed({ state: "CAPTURED", undo: true, refunded: 100n })).toBe("nothing");
    expect(owed({ state: "CAPTURED", undo: true, captured: 0n })).toBe("refund");
    for (const state of ["VOIDED", "DECLINED", "REFUNDED"] as const)
      expect(owed({ state, undo: true })).toBe("nothing");
  });

  test("is due while it owes something, and when an authorization ends", () => {
    const due = (over: Partial<Payment>) => dueOf(payment(over), now, 60);
    expect(due({ state: "AUTHORIZED" })).toEqual(later(60));
    expect(due({ state: "AUTHORIZED", undo: true })).toEqual(later(6));
    expect(due({ state: "CAPTURED" })).toBeUndefined();
    expect(due({ state: "CAPTURED", undo: true })).toEqual(later(6));
    expect(due({ state: "VOIDED" })).toBeUndefined();
  });

  test("is left to the request that began it for six seconds, unless that gave up", () => {
    expect(isInFlight(fresh, later(5))).toBe(true);
    expect(isInFlight(fresh, later(6))).toBe(false);
    expect(isInFlight({ ...fresh, attempts: 1 }, now)).toBe(false);
    expect(isInFlight({ ...fresh, state: "CAPTURED" }, now)).toBe(false);
  });

  test("is asked for after 1, 2, 4, 8 and then every 10 seconds", () => {
    expect([0, 1, 2, 3, 4, 5, 50].map(backoffSeconds)).toEqual([1, 1, 2, 4, 8, 10, 10]);
  });
});

describe("a refund", () => {
  const usd = (minor: bigint) => ({ currency: "USD", minor });
  const captured = payment({ state: "CAPTURED", refunded: 40n });

  test("takes what is asked for, or all that is left", () => {
    expect(refundable(captured, usd(60n))).toBe(60n);
    expect(refundable(captured, usd(1n))).toBe(1n);
    expect(refundable(captured, undefined)).toBe(60n);
  });

  test("never takes more than is left", () => {
    expect(() => refundable(captured, usd(61n))).toThrow("Less of the payment is left");
    expect(() => refundable({ ...captured, refunded: 100n }, undefined)).toThrow("Less of the payment");
  });

  test("is refused in another currency, of nothing and of a payment without money", () => {
    expect(() => refundable(captured, { currency: "EUR", minor: 1n })).toThrow("must be USD");
    expect(() => refundable(captured, usd(0n))).toThrow("greater than 0");
    expect(() => refundable(captured, usd(-1n))).toThrow("greater than 0");
    for (const state of states.filter((s) => s !== "CAPTURED"))
      expect(() => refundable(payment({ state }), usd(1n))).toThrow(`that is ${state} can go back`);
  });
});

import { describe, expect, test } from "bun:test";
import { faultInfo } from "@mall/kernel/fault";
import { type Id, idOf } from "@mall/kernel/id";
import fc from "fast-check";
import { asOf, type Change, decide, isDue, type OrderCommand } from "./decide";
import type { Order } from "./order";
import { type OrderPhase, type OrderVerb, transitions } from "./transitions";

const runs = 2_000;
const start = Date.UTC(2026, 0, 1);
const at = (second: number) => new Date(start + second * 1000);
const id = <P extends "ord" | "chk" | "pay">(prefix: P, n = 0): Id<P> =>
  idOf(prefix, `00000000-0000-7000-8000-${String(n).padStart(12, "0")}`);
const usd = (minor: bigint) => ({ currency: "USD", minor });
const price = 1000n;

const placed = (expiresAt?: Date): Order => ({
  id: id("ord"),
  number: "1001",
  checkoutId: id("chk"),
  state: "PENDING_PAYMENT",
  items: [],
  totals: {
    ...{ subtotal: usd(price), discountTotal: usd(0n), shippingTotal: usd(0n) },
    ...{ taxTotal: usd(0n), total: usd(price) },
  },
  person: {
    email: "ada@example.com",
    shippingAddress: { name: "", line1: "", line2: "", city: "", region: "", postalCode: "", country: "" },
  },
  shippingOption: "standard",
  cancelReason: "",
  version: 1,
  createdAt: at(0),
  expiresAt,
  paymentSequence: 0,
  refundedTotal: usd(0n),
  earlyRefunds: {},
});

const phaseOf = (order: Order): OrderPhase =>
  order.state === "PENDING_PAYMENT" ? (order.expiresAt ? "WAITING" : "PAYING") : order.state;

const reasonOf = (run: () => unknown): string | undefined => {
  try {
    run();
    return undefined;
  } catch (error) {
    return faultInfo(error)?.reason ?? String(error);
  }
};

const paymentId = fc.integer({ min: 1, max: 3 }).map((n) => id("pay", n));
const second = fc.integer({ min: 0, max: 60 });
const sequence = fc.integer({ min: 0, max: 6 });
const journey = fc
  .constantFrom("expire" as const, "ship" as const, "deliver" as const, "complete" as const)
  .map((verb) => ({ verb }));
const command: fc.Arbitrary<OrderCommand> = fc.oneof(
  { weight: 5, arbitrary: journey },
  sequence.map((n) => ({ verb: "beginPayment" as const, sequence: n })),
  fc
    .tuple(sequence, second)
    .map(([n, s]) => ({ verb: "endPayment" as const, sequence: n, expiresAt: at(s) })),
  paymentId.map((paid) => ({ verb: "pay" as const, paymentId: paid })),
  fc.constantFrom("cancel" as const, "abandon" as const).map((verb) => ({ verb, reason: "TEST" })),
  fc.tuple(paymentId, fc.constantFrom(1n, price / 2n, price)).map(([refunded, minor]) => ({
    ...{ verb: "refund" as const, paymentId: refunded, detail: `${minor} USD` },
    ...{ total: usd(minor), inFull: minor === price },
  })),
);
/** Commands with the seconds between them. */
const history = fc.array(fc.tuple(command, fc.integer({ min: 0, max: 8 })), { maxLength: 30 });
/** Histories that come to every phase, which chance alone does not in every run. */
const journeys: [Order, [OrderCommand, number][]][] = (
  [
    [
      { verb: "beginPayment", sequence: 1 },
      { verb: "endPayment", sequence: 2, expiresAt: at(60) },
      { verb: "pay", paymentId: id("pay", 1) },
      { verb: "ship" },
      { verb: "deliver" },
      { verb: "complete" },
    ],
    [
      { verb: "pay", paymentId: id("pay", 1) },
      { verb: "refund", paymentId: id("pay", 1), detail: "all", total: usd(price), inFull: true },
    ],
    [{ verb: "cancel", reason: "TEST" }],
  ] satisfies OrderCommand[][]
).map((commands) => [placed(at(60)), commands.map((each) => [each, 1])]);
const order = fc.option(second, { nil: undefined }).map((s) => placed(s === undefined ? undefined : at(s)));

/** What must be true of every order, whatever happened to it. */
function expectSound({ state, paymentId: paid, paidAt, cancelledAt, expiresAt, ...rest }: Order): void {
  expect(paidAt === undefined).toBe(paid === undefined);
  if (state !== "CANCELLED") expect(paid === undefined).toBe(state === "PENDING_PAYMENT");
  expect(cancelledAt !== undefined).toBe(state === "CANCELLED");
  expect(rest.cancelReason !== "").toBe(state === "CANCELLED");
  if (expiresAt) expect(state).toBe("PENDING_PAYMENT");
  expect(rest.refundedTotal.minor <= price).toBe(true);
  if (!paid) expect(rest.refundedTotal.minor).toBe(0n);
  if (state === "REFUNDED") expect(rest.refundedTotal.minor).toBe(price);
}

/** Phases that one command may lead to by the table; money that went back before it was paid takes two moves. */
function allowed(phase: OrderPhase, verb: OrderVerb): OrderPhase[] {
  const next = transitions[phase][verb] as OrderPhase;
  return verb === "pay" ? [next, transitions.PAID.refund as OrderPhase] : [next];
}

/** Lets a history happen, as the service does: a due expiry is written down before anything else. */
function live(first: Order, steps: readonly (readonly [OrderCommand, number])[], seen: (step: Step) => void) {
  let current = first;
  let now = 0;
  for (const [asked, seconds] of steps) {
    now += seconds;
    const dueNow = isDue(current, at(now));
    const doing: OrderCommand = dueNow ? { verb: "expire" } : asked;
    let change: Change | undefined;
    const reason = reasonOf(() => {
      change = decide(current, doing, at(now));
    });
    seen({ before: current, doing, change, reason, now: at(now) });
    current = change?.order ?? current;
  }
}

interface Step {
  before: Order;
  doing: OrderCommand;
  change: Change | undefined;
  reason: string | undefined;
  now: Date;
}

describe("any history of an order", () => {
  test("goes only where the table allows, and keeps the order sound", () => {
    const reached = new Set<OrderPhase>();
    fc.assert(
      fc.property(order, history, (first, steps) => {
        live(first, steps, ({ before, doing, change, reason }) => {
          if (reason) {
            expect(["ORDER_STATE_INVALID", "ORDER_PAYMENT_IN_PROGRESS", "OVERTAKEN"]).toContain(reason);
            return;
          }
          if (!change) return;
          expect(change.order.version).toBe(before.version + 1);
          expectSound(change.order);
          const [from, to] = [phaseOf(before), phaseOf(change.order)];
          reached.add(to);
          if (from !== to) expect(allowed(from, doing.verb)).toContain(to);
        });
      }),
      { numRuns: runs, examples: journeys },
    );
    expect([...reached].sort()).toEqual((Object.keys(transitions) as OrderPhase[]).sort());
  });

  test("never leaves a final state, pays once and refuses to pay what was cancelled unpaid", () => {
    fc.assert(
      fc.property(order, history, (first, steps) => {
        live(first, steps, ({ before, doing, change, reason }) => {
          const after = change?.order ?? before;
          if (["CANCELLED", "REFUNDED"].includes(before.state)) expect(after.state).toBe(before.state);
          expect(after.paymentSequence).toBeGreaterThanOrEqual(before.paymentSequence);
          if (before.paymentId) expect(after.paymentId).toBe(before.paymentId);
          if (before.paidAt) expect(after.paidAt).toEqual(before.paidAt);
          if (doing.verb === "pay" && before.state === "CANCELLED" && !before.paidAt)
            expect(reason).toBe("ORDER_STATE_INVALID");
          if (doing.verb === "cancel" && phaseOf(before) === "PAYING")
            expect(reason).toBe("ORDER_PAYMENT_IN_PROGRESS");
        });
      }),
      { numRuns: runs },
    );
  });

  test("undoes a sale exactly once, when a paid order is cancelled, and tells once that all money is back", () => {
    fc.assert(
      fc.property(order, history, (first, steps) => {
        let [effects, refunded] = [0, 0];
        let last: Order = first;
        live(first, steps, ({ before, change }) => {
          last = change?.order ?? before;
          if (change?.hasEffects) effects++;
          if (change?.isRefunded) refunded++;
        });
        expect(effects).toBe(last.state === "CANCELLED" && last.paidAt ? 1 : 0);
        expect(refunded).toBe(last.refundedTotal.minor === price ? 1 : 0);
      }),
      { numRuns: runs },
    );
  });

  test("reads the same before and after its expiry is written down", () => {
    fc.assert(
      fc.property(order, history, (first, steps) => {
        live(first, steps, ({ before, doing, change, now }) => {
          if (doing.verb !== "expire" || !change) return;
          expect(asOf(before, now)).toEqual(change.order);
          expect(change.order.state).toBe("CANCELLED");
          expect(change.order.cancelledAt).toEqual(before.expiresAt);
        });
      }),
      { numRuns: runs },
    );
  });
});

describe("an expiry", () => {
  const unpaid = placed(at(10));

  test("is exact: it counts from its own instant on, written down or not", () => {
    const end = { verb: "endPayment", sequence: 3, expiresAt: at(20) } as const;
    for (const doing of [
      { verb: "beginPayment", sequence: 2 },
      { verb: "pay", paymentId: id("pay", 1) },
      end,
    ] as const) {
      expect(reasonOf(() => decide(unpaid, doing, new Date(at(10).getTime() - 1)))).toBeUndefined();
      expect(reasonOf(() => decide(unpaid, doing, at(10)))).toBe("ORDER_STATE_INVALID");
    }
    expect(asOf(unpaid, at(10))).toMatchObject({
      ...{ state: "CANCELLED", cancelReason: "EXPIRED", cancelledAt: at(10), expiresAt: undefined },
    });
    expect(decide(unpaid, { verb: "cancel", reason: "TEST" }, at(10))).toBeUndefined();
  });

  test("does not come while a payment runs, and comes again after it", () => {
    const paying = decide(unpaid, { verb: "beginPayment", sequence: 2 }, at(9))!.order;
    expect(asOf(paying, at(100)).state).toBe("PENDING_PAYMENT");
    expect(reasonOf(() => decide(paying, { verb: "expire" }, at(100)))).toBe("ORDER_STATE_INVALID");
    const waiting = decide(paying, { verb: "endPayment", sequence: 3, expiresAt: at(20) }, at(15))!.order;
    expect(waiting.expiresAt).toEqual(at(20));
    expect(asOf(waiting, at(20)).state).toBe("CANCELLED");
  });
});

describe("a repetition", () => {
  test("changes nothing, and another one of its kind is refused", () => {
    const paying = placed();
    const end = { verb: "endPayment", sequence: 3, expiresAt: at(20) } as const;
    const waiting = decide(paying, end, at(1))!.order;
    expect(decide(paying, { verb: "beginPayment", sequence: 0 }, at(1))).toBeUndefined();
    expect(decide(waiting, end, at(2))).toBeUndefined();
    for (const late of [
      { ...end, sequence: 1 },
      { verb: "beginPayment", sequence: 2 },
    ] as const)
      expect(reasonOf(() => decide(waiting, late, at(2)))).toBe("OVERTAKEN");
    const pay = { verb: "pay", paymentId: id("pay", 1) } as const;
    const paid = decide(waiting, pay, at(2))!.order;
    expect(decide(paid, pay, at(3))).toBeUndefined();
    expect(reasonOf(() => decide(paid, { ...pay, paymentId: id("pay", 2) }, at(3)))).toBe(
      "ORDER_STATE_INVALID",
    );
    const cancelled = decide(paid, { verb: "cancel", reason: "TEST" }, at(3))!.order;
    expect(decide(cancelled, pay, at(4))).toBeUndefined();
    expect(decide(cancelled, { verb: "cancel", reason: "OTHER" }, at(4))).toBeUndefined();
  });
});

describe("refunds", () => {
  const refund = (n: number, minor: bigint) =>
    ({
      ...{ verb: "refund" as const, paymentId: id("pay", 1), detail: String(n) },
      ...{ total: usd(minor), inFull: minor === price },
    }) satisfies OrderCommand;
  const pay = { verb: "pay", paymentId: id("pay", 1) } as const;
  const reach = (steps: OrderCommand[]) =>
    steps.reduce((current, step) => decide(current, step, at(1))?.order ?? current, placed());

  test("told in any order, before or after the payment, end in the same", () => {
    const told: OrderCommand[] = [pay, refund(1, 300n), refund(2, 700n), refund(3, price)];
    fc.assert(
      fc.property(fc.shuffledSubarray(told, { minLength: told.length }), (steps) => {
        const { state, refundedTotal, earlyRefunds } = reach(steps);
        expect({ state, refundedTotal, earlyRefunds }).toEqual({
          ...{ state: "REFUNDED", refundedTotal: usd(price), earlyRefunds: {} },
        });
      }),
    );
  });

  test("of an attempt that did not pay the order do not count for it", () => {
    const other = { ...refund(1, price), paymentId: id("pay", 2) };
    expect(reach([other, pay])).toMatchObject({ state: "PAID", refundedTotal: usd(0n) });
    expect(reach([pay, other])).toMatchObject({ state: "PAID", refundedTotal: usd(0n) });
  });

  test("leave a cancelled order cancelled", () => {
    const steps = [pay, { verb: "cancel", reason: "TEST" } as const, refund(1, price)];
    expect(reach(steps)).toMatchObject({ state: "CANCELLED", refundedTotal: usd(price) });
  });
});

import { fault } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Money } from "@mall/kernel/money";
import type { Order, Refunded } from "./order";
import { nextPhase, type OrderPhase, type OrderVerb, stateInvalid, stateOf } from "./transitions";

/** Something that is to happen to an order. */
export type OrderCommand =
  | { verb: "expire" | "ship" | "deliver" | "complete" }
  | { verb: "beginPayment"; sequence: number }
  | { verb: "endPayment"; sequence: number; expiresAt: Date }
  | { verb: "pay"; paymentId: Id<"pay"> }
  | { verb: "cancel"; reason: string; words?: string }
  | { verb: "abandon"; reason: string }
  | ({ verb: "refund"; paymentId: Id<"pay">; detail: string } & Refunded);

/** What a command makes of an order, with its entry in the timeline if it has one. */
export interface Change {
  order: Order;
  event?: { kind: string; detail: string; at: Date };
  /** What the order cost others is to be undone: units to the shelf, money to the customer. */
  hasEffects?: boolean;
  /** All of its money is back with the customer, and was not before. */
  isRefunded?: boolean;
}

/** Why an order was cancelled that nobody paid in time. */
export const expiredReason = "EXPIRED";

/** Whether an unpaid order is past its expiry, written down or not. */
export const isDue = ({ state, expiresAt }: Order, now: Date): boolean =>
  state === "PENDING_PAYMENT" && expiresAt !== undefined && expiresAt.getTime() <= now.getTime();

const phaseOf = (order: Order): OrderPhase =>
  order.state === "PENDING_PAYMENT" ? (order.expiresAt ? "WAITING" : "PAYING") : order.state;

/** The order with another phase and its next version; a phase that is not WAITING has no expiry. */
const moved = (order: Order, phase: OrderPhase, values: Partial<Order> = {}): Order => ({
  ...order,
  expiresAt: undefined,
  ...values,
  state: stateOf(phase),
  version: order.version + 1,
});

const change = (order: Order, kind: string, at: Date, detail = ""): Change => ({
  order,
  event: { kind, detail, at },
});

/** The order at its expiry: cancelled at that instant, whenever it is found out. */
export function expire(order: Order): Change {
  const at = order.expiresAt!;
  const values = { cancelReason: expiredReason, cancelledAt: at };
  return change(moved(order, nextPhase("WAITING", "expire"), values), "cancelled", at, expiredReason);
}

/** An order as it is at an instant, whether or not its expiry was written down. */
export const asOf = (order: Order, now: Date): Order => (isDue(order, now) ? expire(order).order : order);

/** Fault OVERTAKEN: a later call about the payments of the order came first. */
function checkSequence(order: Order, sequence: number): void {
  if (order.paymentSequence > sequence)
    throw fault("aborted", "OVERTAKEN", "A later call of this checkout came first; this one has no effect.");
}

/** Begins a payment, or ends it when there is an expiry; an end that comes before its begin keeps that one out. */
function turn(
  order: Order,
  phase: OrderPhase,
  verb: "beginPayment" | "endPayment",
  { sequence, expiresAt }: { sequence: number; expiresAt?: Date },
): Change | undefined {
  const next = nextPhase(phase, verb);
  checkSequence(order, sequence);
  if (next === phase && order.paymentSequence === sequence) return undefined;
  return { order: moved(order, next, { expiresAt, paymentSequence: sequence }) };
}

/** Pays an order; money of the payment that went back before the order knew of it counts at once. */
function pay(order: Order, phase: OrderPhase, paymentId: Id<"pay">, now: Date): Change | undefined {
  if (order.paymentId === paymentId) return undefined;
  const paid = nextPhase(phase, "pay");
  const { [paymentId]: early, ...earlyRefunds } = order.earlyRefunds;
  const values = { paymentId, paidAt: now, earlyRefunds, refundedTotal: early?.total ?? order.refundedTotal };
  const isRefunded = early?.inFull === true;
  const next = moved(order, isRefunded ? nextPhase(paid, "refund") : paid, values);
  return { ...change(next, "paid", now, paymentId), isRefunded };
}

function cancel(
  order: Order,
  phase: OrderPhase,
  { verb, reason, words }: { verb: "cancel" | "abandon"; reason: string; words?: string },
  now: Date,
): Change | undefined {
  const next = nextPhase(phase, verb);
  if (next === phase) return undefined;
  const person = order.person && words ? { ...order.person, cancelWords: words } : order.person;
  const cancelled = moved(order, next, { person, cancelReason: reason, cancelledAt: now });
  return { ...change(cancelled, "cancelled", now, reason), hasEffects: order.paymentId !== undefined };
}

const larger = (a: Money, b: Money): Money => (a.minor > b.minor ? a : b);

/** Records a refund; refunds may be told in any order, so that the largest sum of a payment is the one that holds. */
function refund(
  order: Order,
  phase: OrderPhase,
  { paymentId, detail, total, inFull }: { paymentId: Id<"pay">; detail: string } & Refunded,
  now: Date,
): Change {
  const recorded = (next: Order) => change(next, "refunded", now, detail);
  const keep = { expiresAt: order.expiresAt };
  if (order.paymentId !== paymentId) {
    const known = order.earlyRefunds[paymentId];
    const early = known
      ? { total: larger(total, known.total), inFull: inFull || known.inFull }
      : { total, inFull };
    return recorded(
      moved(order, phase, { ...keep, earlyRefunds: { ...order.earlyRefunds, [paymentId]: early } }),
    );
  }
  const next = moved(order, inFull ? nextPhase(phase, "refund") : phase, {
    refundedTotal: larger(total, order.refundedTotal),
  });
  return { ...recorded(next), isRefunded: inFull && total.minor > order.refundedTotal.minor };
}

const plainKinds = {
  ship: "shipped",
  deliver: "delivered",
  complete: "completed",
} as const satisfies Partial<Record<OrderVerb, string>>;

/**
 * What a command makes of an order; undefined when it is a repetition that changes nothing. An order that is due is
 * taken as cancelled. Faults: ORDER_STATE_INVALID, ORDER_PAYMENT_IN_PROGRESS, OVERTAKEN.
 */
export function decide(order: Order, command: OrderCommand, now: Date): Change | undefined {
  const due = isDue(order, now);
  if (command.verb === "expire") {
    if (due) return expire(order);
    throw stateInvalid(phaseOf(order), "expire");
  }
  const current = asOf(order, now);
  const phase = phaseOf(current);
  switch (command.verb) {
    case "beginPayment":
    case "endPayment":
      return turn(current, phase, command.verb, command);
    case "pay":
      return pay(current, phase, command.paymentId, now);
    case "cancel":
    case "abandon":
      return cancel(current, phase, command, now);
    case "refund":
      return refund(current, phase, command, now);
    default: {
      const next = nextPhase(phase, command.verb);
      return next === phase ? undefined : change(moved(current, next), plainKinds[command.verb], now);
    }
  }
}

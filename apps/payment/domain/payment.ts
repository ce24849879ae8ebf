import { fault } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Money } from "@mall/kernel/money";
import { later } from "@mall/kernel/time";

/** Life of a payment; the names are those of the contract without their prefix. */
export type PaymentState = "PROCESSING" | "AUTHORIZED" | "CAPTURED" | "DECLINED" | "VOIDED" | "REFUNDED";

/** The only legal moves: state → possible next states. */
export const transitions: Record<PaymentState, readonly PaymentState[]> = {
  PROCESSING: ["AUTHORIZED", "CAPTURED", "DECLINED", "VOIDED"],
  AUTHORIZED: ["CAPTURED", "VOIDED"],
  CAPTURED: ["REFUNDED"],
  DECLINED: [],
  VOIDED: [],
  REFUNDED: [],
};

/** One attempt to pay an order. Amounts beside `amount` are minor units of its currency. */
export interface Payment {
  id: Id<"pay">;
  orderId: Id<"ord">;
  userId?: Id<"usr">;
  state: PaymentState;
  amount: Money;
  /** What the provider took. */
  captured: bigint;
  /** What went back or is on its way back. */
  refunded: bigint;
  /** What went back. */
  returned: bigint;
  provider: string;
  /** The provider's name of the attempt; empty until it is known. */
  providerRef: string;
  /** Whether the money is to be taken once it is authorized. */
  capture: boolean;
  /** Whether the payment must end without money, whatever becomes of it. */
  undo: boolean;
  /** Whether no payment of the order may begin after this one. */
  closesOrder: boolean;
  declineCode: string;
  version: number;
  /** When the sweeper looks at it; undefined when nothing is left to do. */
  dueAt?: Date;
  /** How often the sweeper looked since the last change; 0 while the first request works on it. */
  attempts: number;
  createdAt: Date;
  updatedAt: Date;
}

/** What became of an attempt at the provider, as its books say. */
export type Outcome =
  | { kind: "authorized" | "voided"; ref: string }
  | { kind: "captured"; ref: string; captured: bigint }
  | { kind: "declined"; ref: string; code: string };

/** What changes on a payment. */
export type Change = Partial<
  Pick<
    Payment,
    "state" | "captured" | "providerRef" | "capture" | "undo" | "closesOrder" | "declineCode" | "dueAt"
  >
>;

/** What has to be done at the provider next. */
export type Owed = "resolve" | "void" | "capture" | "refund" | "nothing";

/** Seconds one request may work on a payment before others take it for abandoned. */
export const flightSeconds = 6;

/** A payment that has just begun and is worked on by the request that began it. */
export function newPayment(
  given: Pick<Payment, "id" | "orderId" | "userId" | "amount" | "provider" | "capture">,
  now: Date,
): Payment {
  return {
    ...given,
    ...{ state: "PROCESSING", captured: 0n, refunded: 0n, returned: 0n, providerRef: "", declineCode: "" },
    ...{ undo: false, closesOrder: false, version: 1, attempts: 0, createdAt: now, updatedAt: now },
    dueAt: flightEnd(now),
  };
}

/** When a request that begins to work on a payment now has finished or has died. */
export const flightEnd = (now: Date): Date => later(now, flightSeconds);

/** Whether the request that began a payment is still working on it. */
export const isInFlight = (payment: Payment, now: Date): boolean =>
  payment.state === "PROCESSING" &&
  payment.attempts === 0 &&
  payment.dueAt !== undefined &&
  payment.dueAt > now;

/** Whether a payment has ended; only money that the provider takes against all agreement changes it again. */
export const hasEnded = ({ state }: Payment): boolean =>
  state === "DECLINED" || state === "VOIDED" || state === "REFUNDED";

/** Minor units that are not on their way back. */
export const leftOf = (payment: Payment): bigint => payment.captured - payment.refunded;

/** What has to be done at the provider next, so that a payment becomes what was asked for. */
export function owedOf(payment: Payment): Owed {
  if (payment.state === "PROCESSING") return "resolve";
  if (payment.state === "AUTHORIZED") return payment.undo ? "void" : payment.capture ? "capture" : "nothing";
  const isFree = payment.state === "CAPTURED" && payment.captured === 0n;
  return payment.undo && (leftOf(payment) > 0n || isFree) ? "refund" : "nothing";
}

/** When the sweeper has to look at a payment that nobody works on; an authorization ends by itself. */
export function dueOf(payment: Payment, now: Date, openTtlSeconds: number): Date | undefined {
  if (owedOf(payment) !== "nothing") return flightEnd(now);
  return payment.state === "AUTHORIZED" ? openEnd(payment, openTtlSeconds) : undefined;
}

/** When an authorization that nobody captures is dropped. */
export const openEnd = (payment: Payment, openTtlSeconds: number): Date =>
  later(payment.createdAt, openTtlSeconds);

/** Seconds until a provider that did not answer is asked again: 1, 2, 4, 8, 10, 10 … */
export const backoffSeconds = (attempts: number): number => Math.min(2 ** Math.max(attempts - 1, 0), 10);

/**
 * What an outcome changes on a payment; undefined when it is known already. Money that the provider took although the
 * payment has ended stays out of its state and is to go back.
 */
export function changeOf(payment: Payment, outcome: Outcome): Change | undefined {
  const { ref: providerRef } = outcome;
  if (hasEnded(payment)) {
    const isLate = outcome.kind === "captured" && payment.state !== "REFUNDED" && payment.captured === 0n;
    return isLate && outcome.captured > 0n
      ? { captured: outcome.captured, undo: true, providerRef }
      : undefined;
  }
  if (outcome.kind === "captured") {
    return payment.state === "CAPTURED"
      ? undefined
      : { state: "CAPTURED", captured: outcome.captured, providerRef };
  }
  // what was captured stays so: the provider's books differ, and reconciling reports it
  if (payment.state === "CAPTURED") return undefined;
  if (outcome.kind === "authorized")
    return payment.state === "AUTHORIZED" ? undefined : { state: "AUTHORIZED", providerRef };
  if (outcome.kind === "declined" && payment.state === "PROCESSING")
    return { state: "DECLINED", declineCode: outcome.code, providerRef };
  return { state: "VOIDED", providerRef };
}

/** Fault PAYMENT_STATE_INVALID unless the table allows the move. */
export function checkMove(payment: Payment, to: PaymentState): void {
  if (transitions[payment.state].includes(to)) return;
  throw fault(
    "failed_precondition",
    "PAYMENT_STATE_INVALID",
    `A payment that is ${payment.state} cannot become ${to}.`,
    {
      metadata: { state: payment.state, to },
    },
  );
}

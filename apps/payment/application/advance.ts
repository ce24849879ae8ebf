import { errorFields } from "@mall/kernel/log";
import { changePayment, findPayment, postpone } from "../db/payments";
import type { Deps } from "../deps";
import {
  backoffSeconds,
  type Change,
  flightEnd,
  hasEnded,
  type Outcome,
  owedOf,
  type Payment,
} from "../domain/payment";
import { refundRest } from "./refund";
import { settle } from "./settle";

const stepsMax = 4;
const triesMax = 10;

/** Tells what became of an attempt; one that was never sent is closed, so that it cannot be sent any more. */
async function resolve(deps: Deps, payment: Payment): Promise<Outcome> {
  const standing = await deps.provider.lookUp(payment);
  return standing.kind === "open"
    ? deps.provider.void({ ...payment, providerRef: standing.ref || payment.providerRef })
    : standing;
}

/**
 * Does at the provider what a payment owes until it owes nothing. Rejects when an outcome is not known; it is safe to
 * try again, also for several at once.
 */
export async function advance(deps: Deps, payment: Payment): Promise<Payment> {
  let current = payment;
  for (let steps = 0; steps < stepsMax; steps++) {
    const owed = owedOf(current);
    if (owed === "nothing") return current;
    if (owed === "refund") return refundRest(deps, current);
    const outcome = await (owed === "resolve" ? resolve(deps, current) : deps.provider[owed](current));
    current = await settle(deps, current, outcome);
  }
  return current;
}

/** Like advance; an outcome that is not known is left to the sweeper, and the payment comes as far as it got. */
export async function tryAdvance(deps: Deps, payment: Payment): Promise<Payment> {
  try {
    return await advance(deps, payment);
  } catch (error) {
    await leaveToSweeper(deps, payment, error);
    return (await findPayment(deps.db, payment.id))!;
  }
}

/** Notes that an outcome is not known, and when the sweeper asks for it. */
export async function leaveToSweeper(deps: Deps, payment: Payment, error: unknown): Promise<void> {
  const { id: paymentId, attempts } = payment;
  deps.log("warn", "payment outcome unknown", { paymentId, attempts, ...errorFields(error) });
  const waitMs = backoffSeconds(attempts) * 1000;
  await postpone(deps.db, payment, new Date(deps.clock().getTime() + waitMs));
}

/**
 * Tells the row what the provider's books say by now, without closing an attempt that is still being made. What the
 * provider promised for a payment that has ended is dropped.
 */
export async function look(deps: Deps, payment: Payment, ref = payment.providerRef): Promise<Payment> {
  if (ref === "") return payment;
  const attempt = { ...payment, providerRef: ref };
  const standing = await deps.provider.lookUp(attempt);
  if (standing.kind === "open") return payment;
  if (standing.kind === "authorized" && hasEnded(payment)) {
    const outcome = await deps.provider.void(attempt);
    return settle(deps, payment, outcome);
  }
  return settle(deps, payment, standing);
}

/** Decides that a payment must end without money; one that has ended stays as it is. */
export async function orderUndo(deps: Deps, payment: Payment): Promise<Payment> {
  let current = payment;
  for (let tries = 0; tries < triesMax; tries++) {
    if (hasEnded(current) || current.undo) return current;
    const now = deps.clock();
    const change: Change = { undo: true, dueAt: flightEnd(now) };
    const changed = await changePayment(deps.db, current, change, now);
    if (changed) return changed;
    current = (await findPayment(deps.db, payment.id))!;
  }
  throw new Error(`payment ${payment.id} changes too often`);
}

import { errorFields } from "@mall/kernel/log";
import { changePayment, findPayment, leaseDue, postpone } from "../db/payments";
import { leaseDueRefunds } from "../db/refunds";
import type { Deps } from "../deps";
import { dueOf, flightEnd, openEnd, owedOf, type Payment } from "../domain/payment";
import type { Refund } from "../domain/refund";
import { advance, leaveToSweeper, look } from "./advance";
import { sendRefund } from "./refund";

/** Drops an authorization that nobody captured in time; a capture that is decided first wins. */
async function dropExpired(deps: Deps, payment: Payment): Promise<Payment> {
  const now = deps.clock();
  const isOpen = payment.state === "AUTHORIZED" && owedOf(payment) === "nothing";
  if (!isOpen || openEnd(payment, deps.openTtlSeconds) > now) return payment;
  const dropped = await changePayment(deps.db, payment, { undo: true, dueAt: flightEnd(now) }, now);
  return dropped ?? (await findPayment(deps.db, payment.id))!;
}

/** Goes on with one payment that is due. */
async function resume(deps: Deps, payment: Payment): Promise<void> {
  try {
    const seen = owedOf(payment) === "nothing" ? await look(deps, payment) : payment;
    const current = await advance(deps, await dropExpired(deps, seen));
    if (current.version === payment.version)
      await postpone(deps.db, current, dueOf(current, deps.clock(), deps.openTtlSeconds));
  } catch (error) {
    await leaveToSweeper(deps, payment, error);
  }
}

/** Asks for the outcome of one refund that is due. */
async function resumeRefund(deps: Deps, refund: Refund): Promise<void> {
  try {
    const payment = await findPayment(deps.db, refund.paymentId);
    await sendRefund(deps, payment!, refund);
  } catch (error) {
    deps.log("error", "refund not settled", { refundId: refund.id, ...errorFields(error) });
  }
}

/**
 * Asks again for outcomes that are not known, finishes what was undone, and drops authorizations that nobody captured.
 * Safe to run in many processes at once.
 */
export const sweep = (deps: Deps) => async (): Promise<void> => {
  const now = deps.clock();
  const until = flightEnd(now);
  const { name } = deps.provider;
  const [payments, refunds] = await Promise.all([
    leaseDue(deps.db, name, now, until),
    leaseDueRefunds(deps.db, deps.notes, name, now, until),
  ]);
  await Promise.all([
    ...payments.map((payment) => resume(deps, payment)),
    ...refunds.map((refund) => resumeRefund(deps, refund)),
  ]);
};

import { PaymentRefundedSchema } from "@mall/gen/mall/payment/v1/events_pb";
import { errorFields } from "@mall/kernel/log";
import { changePayment, findPayment, lockPayment } from "../db/payments";
import { endRefund, lockRefund, postponeRefund, reserveRefund, returnMoney, unreserve } from "../db/refunds";
import type { Deps } from "../deps";
import { backoffSeconds, flightEnd, leftOf, owedOf, type Payment } from "../domain/payment";
import type { Refund } from "../domain/refund";
import type { RefundOutcome } from "../providers/port";
import { announceState } from "./settle";

/** Records the outcome of a refund, once, and writes the answer that its request still owes. */
async function settleRefund(
  deps: Deps,
  payment: Payment,
  refund: Refund,
  outcome: RefundOutcome,
): Promise<Refund> {
  return deps.db.tx(async (tx) => {
    const now = deps.clock();
    const ended = await endRefund(
      tx,
      deps.notes,
      refund,
      outcome === "succeeded" ? "SUCCEEDED" : "FAILED",
      now,
    );
    if (!ended) return (await lockRefund(tx, deps.notes, refund.id))!;
    if (outcome === "failed") await unreserve(tx, refund, now);
    else {
      const { state, version: sequence, returned } = await returnMoney(tx, refund, now);
      // money of a payment that had ended was never announced as captured, so its way back is nobody's business
      if (state === "CAPTURED" || state === "REFUNDED") {
        const { id: paymentId, orderId, amount } = payment;
        const { currency } = amount;
        await deps.announce(tx, {
          desc: PaymentRefundedSchema,
          data: {
            ...{ paymentId, orderId, refundId: refund.id, currency, inFull: state === "REFUNDED" },
            ...{ amountMinor: refund.amount.minor, refundedMinor: returned },
          },
          ...{ subject: paymentId, sequence },
        });
      }
    }
    if (refund.owes) await deps.answers.settle(tx, refund.owes, deps.refundAnswer(ended));
    return ended;
  });
}

/** Has the provider send the money of a refund back, once however often it is called; unknown stays PENDING. */
export async function sendRefund(deps: Deps, payment: Payment, refund: Refund): Promise<Refund> {
  const { id, createdAt, attempts } = refund;
  let outcome: RefundOutcome;
  try {
    outcome = await deps.provider.refund(payment, { id, amount: refund.amount.minor, createdAt, attempts });
  } catch (error) {
    deps.log("warn", "refund outcome unknown", { refundId: id, attempts, ...errorFields(error) });
    const waitMs = backoffSeconds(attempts) * 1000;
    await postponeRefund(deps.db, refund, new Date(deps.clock().getTime() + waitMs));
    return refund;
  }
  const settled = await settleRefund(deps, payment, refund, outcome);
  if (settled.state === "FAILED") deps.log("warn", "refund refused by the provider", { refundId: id });
  return settled;
}

/** Sends back what is left of a payment that is to end without money. */
export async function refundRest(deps: Deps, payment: Payment): Promise<Payment> {
  const refund = await deps.db.tx(async (tx) => {
    const now = deps.clock();
    const locked = (await lockPayment(tx, payment.id))!;
    if (owedOf(locked) !== "refund") return undefined;
    if (leftOf(locked) === 0n) {
      const moved = await changePayment(tx, locked, { state: "REFUNDED", dueAt: undefined }, now);
      await announceState(deps, tx, moved!);
      return undefined;
    }
    const rest: Refund = {
      ...{ id: deps.newId("ref"), paymentId: locked.id, state: "PENDING", reason: "", attempts: 0 },
      amount: { currency: locked.amount.currency, minor: leftOf(locked) },
      ...{ createdAt: now, updatedAt: now },
    };
    await reserveRefund(tx, deps.notes, locked, rest, flightEnd(now));
    return rest;
  });
  if (refund) await sendRefund(deps, payment, refund);
  return (await findPayment(deps.db, payment.id))!;
}

import { invalidRequest, missing } from "./api-error";
import { decline, settlementDecline, succeed } from "./charging";
import type { Draft } from "./draft";
import { newEntry } from "./ledger";
import type { Charge, PaymentIntent, Refund } from "./objects";

export type Settlement = "succeeded" | "failed";

function settleIntent(draft: Draft, intent: PaymentIntent, outcome: Settlement): PaymentIntent {
  if (intent.status !== "processing" && intent.status !== "requires_action")
    throw invalidRequest(`The intent is ${intent.status}: there is nothing to settle.`);
  const method = draft.get("payment_method", intent.payment_method!)!;
  if (outcome === "succeeded") return succeed(draft, intent, method);
  return decline(draft, intent, method, settlementDecline).intent;
}

function settleRefund(draft: Draft, refund: Refund, outcome: Settlement): Refund {
  if (refund.status !== "pending")
    throw invalidRequest(`The refund is ${refund.status}: there is nothing to settle.`);
  const settled = draft.put<Refund>(
    outcome === "succeeded"
      ? { ...refund, status: outcome }
      : { ...refund, status: outcome, failure_reason: "expired_or_canceled_card" },
  );
  draft.announce("refund.updated", settled);
  if (outcome === "succeeded") return settled;
  const charge = draft.get("charge", refund.charge)!;
  draft.put<Charge>({ ...charge, amount_refunded: charge.amount_refunded - refund.amount, refunded: false });
  const intent = draft.get("payment_intent", refund.payment_intent)!;
  draft.enter(newEntry("refund_failed", intent, refund.amount, refund.id));
  draft.announce("refund.failed", settled);
  return settled;
}

/** Ends what waits for the outside world: an intent that is processing or a refund that is pending. */
export function settle(draft: Draft, id: string, outcome: Settlement): PaymentIntent | Refund {
  const intent = draft.get("payment_intent", id);
  if (intent) return settleIntent(draft, intent, outcome);
  const refund = draft.get("refund", id);
  if (refund) return settleRefund(draft, refund, outcome);
  throw missing("payment_intent or refund", id);
}

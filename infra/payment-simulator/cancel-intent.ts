import { missing, unexpectedState } from "./api-error";
import { newEntry } from "./ledger";
import type { Charge, PaymentIntent } from "./objects";
import { type Operation, ok } from "./operation";
import { choiceOf, refuseUnknown } from "./parameters";

const cancelable: readonly PaymentIntent["status"][] = [
  "requires_payment_method",
  "requires_capture",
  "requires_confirmation",
  "requires_action",
];

/** Ends an intent whose money was not taken; what was promised is let go. */
export const cancelIntent: Operation = (form, id) => {
  refuseUnknown(form, ["cancellation_reason"]);
  const reasons = ["abandoned", "duplicate", "fraudulent", "requested_by_customer"] as const;
  const reason = choiceOf(form, "cancellation_reason", reasons) ?? null;
  return (draft) => {
    const intent = draft.get("payment_intent", id);
    if (!intent) throw missing("payment_intent", id);
    if (!cancelable.includes(intent.status))
      throw unexpectedState(
        `You cannot cancel this PaymentIntent because it has a status of ${intent.status}. Only a PaymentIntent with one of the following statuses may be canceled: ${cancelable.join(", ")}.`,
        intent,
      );
    draft.enter(newEntry("cancel", intent, intent.amount_capturable));
    const canceled = draft.put<PaymentIntent>({
      ...intent,
      status: "canceled",
      amount_capturable: 0,
      canceled_at: draft.nowSeconds,
      cancellation_reason: reason,
      next_action: null,
    });
    if (intent.status === "requires_capture") {
      const charge = draft.get("charge", intent.latest_charge!)!;
      draft.announce(
        "charge.refunded",
        draft.put<Charge>({ ...charge, amount_refunded: charge.amount, refunded: true }),
      );
    }
    draft.announce("payment_intent.canceled", canceled);
    return ok(canceled);
  };
};

import { invalidRequest, missing, unexpectedState } from "./api-error";
import { newEntry } from "./ledger";
import type { Charge, PaymentIntent } from "./objects";
import { type Operation, ok } from "./operation";
import { metadataOf, positiveOf, refuseUnknown } from "./parameters";

/** Takes promised money, once; what is not taken is let go. */
export const captureIntent: Operation = (form, id) => {
  refuseUnknown(form, [
    "amount_to_capture",
    "metadata",
    "statement_descriptor",
    "statement_descriptor_suffix",
  ]);
  const asked = positiveOf(form, "amount_to_capture");
  const metadata = metadataOf(form);
  return (draft) => {
    const intent = draft.get("payment_intent", id);
    if (!intent) throw missing("payment_intent", id);
    if (intent.status === "succeeded")
      throw unexpectedState(
        "This PaymentIntent could not be captured because it has already been captured.",
        intent,
      );
    if (intent.status !== "requires_capture")
      throw unexpectedState(
        `This PaymentIntent could not be captured because it has a status of ${intent.status}. Only a PaymentIntent with one of the following statuses may be captured: requires_capture.`,
        intent,
      );
    const amount = asked ?? intent.amount_capturable;
    const left = intent.amount_capturable - amount;
    if (left < 0)
      throw invalidRequest("The requested capture amount is greater than the authorized amount.", {
        code: "amount_too_large",
        param: "amount_to_capture",
      });
    const charge = draft.put<Charge>({
      ...draft.get("charge", intent.latest_charge!)!,
      captured: true,
      amount_captured: amount,
      amount_refunded: left,
    });
    draft.enter(newEntry("capture", intent, amount));
    if (left > 0) draft.enter(newEntry("cancel", intent, left));
    const captured = draft.put<PaymentIntent>({
      ...intent,
      status: "succeeded",
      amount_capturable: 0,
      amount_received: amount,
      metadata: { ...intent.metadata, ...metadata },
    });
    draft.announce("charge.captured", charge);
    draft.announce("payment_intent.succeeded", captured);
    return ok(captured);
  };
};

import { invalidRequest, missing } from "./api-error";
import type { Draft } from "./draft";
import type { Form } from "./form";
import { newEntry } from "./ledger";
import { type Charge, newRefund } from "./objects";
import { type Operation, ok } from "./operation";
import { choiceOf, metadataOf, positiveOf, refuseUnknown, textOf } from "./parameters";
import { testCard } from "./test-cards";

/** The charge that a refund names, by itself or by its intent. */
function chargeOf(draft: Draft, chargeId: string | undefined, intentId: string | undefined): Charge {
  const intent = intentId === undefined ? undefined : draft.get("payment_intent", intentId);
  if (intentId !== undefined && !intent) throw missing("payment_intent", intentId, "payment_intent");
  const id = chargeId ?? intent?.latest_charge ?? "";
  const charge = draft.get("charge", id);
  if (chargeId !== undefined && !charge) throw missing("charge", chargeId, "charge");
  if (!charge?.captured)
    throw invalidRequest(
      `This PaymentIntent (${intentId ?? charge?.payment_intent}) does not have a successful charge to refund.`,
      { param: chargeId === undefined ? "payment_intent" : "charge" },
    );
  return charge;
}

const inUnits = (amount: number, currency: string): string => `${amount} ${currency} in minor units`;

function names(form: Form): { charge: string | undefined; intent: string | undefined } {
  const charge = textOf(form, "charge");
  const intent = textOf(form, "payment_intent");
  if (charge === undefined && intent === undefined)
    throw invalidRequest(
      "One of the following params should be provided for this request: payment_intent or charge.",
    );
  return { charge, intent };
}

/** Gives taken money back, never more than is left of it. */
export const createRefund: Operation = (form) => {
  refuseUnknown(form, ["payment_intent", "charge", "amount", "reason", "metadata"]);
  const named = names(form);
  const asked = positiveOf(form, "amount");
  const reason = choiceOf(form, "reason", ["duplicate", "fraudulent", "requested_by_customer"]) ?? null;
  const metadata = metadataOf(form);
  return (draft) => {
    const charge = chargeOf(draft, named.charge, named.intent);
    const left = charge.amount - charge.amount_refunded;
    if (left === 0)
      throw invalidRequest(`Charge ${charge.id} has already been refunded.`, {
        code: "charge_already_refunded",
        charge: charge.id,
      });
    const amount = asked ?? left;
    if (amount > left)
      throw invalidRequest(
        `Refund amount (${inUnits(amount, charge.currency)}) is greater than unrefunded amount on charge (${inUnits(left, charge.currency)})`,
        { param: "amount", charge: charge.id },
      );
    const method = draft.get("payment_method", charge.payment_method!)!;
    const waits = testCard(method.card.fingerprint!)!.refundsWait;
    const refund = draft.put(
      newRefund(draft.id("re_3"), draft.nowSeconds, charge, {
        amount,
        metadata,
        reason,
        status: waits ? "pending" : "succeeded",
      }),
    );
    const refunded = charge.amount_refunded + amount;
    const changed = draft.put<Charge>({
      ...charge,
      amount_refunded: refunded,
      refunded: refunded === charge.amount,
    });
    draft.enter(newEntry("refund", draft.get("payment_intent", charge.payment_intent)!, amount, refund.id));
    draft.announce("charge.refunded", changed);
    draft.announce("refund.created", refund);
    return ok(refund);
  };
};

import { missing, unexpectedState } from "./api-error";
import { cardChoice, confirmNames, methodOf, requireReturnUrl } from "./card-parameters";
import { charge } from "./charging";
import type { PaymentIntent } from "./objects";
import type { Operation } from "./operation";
import { refuseUnknown } from "./parameters";

const confirmable: readonly PaymentIntent["status"][] = [
  "requires_payment_method",
  "requires_confirmation",
  "requires_action",
];

function refuseState(intent: PaymentIntent): void {
  if (confirmable.includes(intent.status)) return;
  if (intent.status === "succeeded")
    throw unexpectedState(
      "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed.",
      intent,
    );
  throw unexpectedState(
    `You cannot confirm this PaymentIntent because it has a status of ${intent.status}. Only a PaymentIntent with one of the following statuses may be confirmed: requires_confirmation, requires_action.`,
    intent,
  );
}

/** Asks the card of the request, or the one the intent has, for the money. */
export const confirmIntent: Operation = (form, id) => {
  refuseUnknown(form, confirmNames);
  const choice = cardChoice(form);
  return (draft) => {
    const intent = draft.get("payment_intent", id);
    if (!intent) throw missing("payment_intent", id);
    refuseState(intent);
    const token = choice.token ?? intent.payment_method;
    if (token === null)
      throw unexpectedState(
        "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment method.",
        intent,
      );
    requireReturnUrl(intent, choice);
    return charge(draft, intent, methodOf(draft, token), choice.refusesAction);
  };
};

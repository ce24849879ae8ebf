import { invalidRequest } from "./api-error";
import { cardChoice, confirmNames, methodOf, requireReturnUrl } from "./card-parameters";
import { charge } from "./charging";
import type { Form } from "./form";
import { newIntent, type PaymentIntent } from "./objects";
import { type Operation, ok } from "./operation";
import {
  booleanOf,
  chargeableAmount,
  choiceOf,
  currencyOf,
  groupOf,
  listOf,
  metadataOf,
  refuseUnknown,
  textOf,
} from "./parameters";

const names = [
  ...confirmNames,
  "amount",
  "currency",
  "capture_method",
  "confirmation_method",
  "confirm",
  "automatic_payment_methods",
  "payment_method_types",
  "metadata",
  "description",
  "statement_descriptor",
  "statement_descriptor_suffix",
];

/** Which methods are offered: the ones that are named, or whatever the account has. */
function offered(form: Form): Pick<PaymentIntent, "automatic_payment_methods" | "payment_method_types"> {
  const types = listOf(form, "payment_method_types");
  const automatic = groupOf(form, "automatic_payment_methods");
  if (types.length > 0) {
    if (automatic) throw invalidRequest("Give either payment_method_types or automatic_payment_methods.");
    return { automatic_payment_methods: null, payment_method_types: types };
  }
  const chosen = automatic ?? { enabled: "true" };
  refuseUnknown(chosen, ["enabled", "allow_redirects"], "automatic_payment_methods");
  return {
    automatic_payment_methods: {
      enabled: booleanOf(chosen, "enabled") ?? false,
      allow_redirects: choiceOf(chosen, "allow_redirects", ["always", "never"]) ?? "always",
    },
    payment_method_types: ["card"],
  };
}

/** Makes an intent, and confirms it at once if asked to. */
export const createIntent: Operation = (form) => {
  refuseUnknown(form, names);
  const currency = currencyOf(form);
  const chosen = {
    amount: chargeableAmount(form, currency),
    currency,
    capture_method:
      choiceOf(form, "capture_method", ["automatic", "automatic_async", "manual"]) ?? "automatic_async",
    confirmation_method: choiceOf(form, "confirmation_method", ["automatic", "manual"]) ?? "automatic",
    ...offered(form),
    metadata: metadataOf(form),
    description: textOf(form, "description", 1000) ?? null,
    receipt_email: textOf(form, "receipt_email") ?? null,
    statement_descriptor: textOf(form, "statement_descriptor", 22) ?? null,
    statement_descriptor_suffix: textOf(form, "statement_descriptor_suffix", 22) ?? null,
    setup_future_usage: choiceOf(form, "setup_future_usage", ["off_session", "on_session"]) ?? null,
  } as const;
  const choice = cardChoice(form);
  const confirms = booleanOf(form, "confirm") ?? false;
  if (!confirms && choice.refusesAction)
    throw invalidRequest("error_on_requires_action needs confirm.", { param: "error_on_requires_action" });
  return (draft) => {
    const bare = newIntent(draft.id("pi_3"), draft.nowSeconds, chosen);
    const method = choice.token === undefined ? undefined : methodOf(draft, choice.token);
    const intent = draft.put<PaymentIntent>(
      method ? { ...bare, status: "requires_confirmation", payment_method: method.id } : bare,
    );
    draft.announce("payment_intent.created", intent);
    if (!confirms) return ok(intent);
    if (!method)
      throw invalidRequest(
        "You cannot confirm this PaymentIntent because it's missing a payment method. Give one with `payment_method` or `payment_method_data`.",
        { code: "parameter_missing", param: "payment_method" },
      );
    requireReturnUrl(intent, choice);
    return charge(draft, intent, method, choice.refusesAction);
  };
};

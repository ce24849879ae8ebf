import { invalidRequest, missing } from "./api-error";
import type { Draft } from "./draft";
import type { Form } from "./form";
import { newMethod, type PaymentIntent, type PaymentMethod } from "./objects";
import { booleanOf, groupOf, refuseUnknown, requiredText, textOf } from "./parameters";
import { testCard } from "./test-cards";

/** Parameters that say with which card, and how, an intent is confirmed. */
export const confirmNames = [
  "payment_method",
  "payment_method_data",
  "error_on_requires_action",
  "return_url",
  "off_session",
  "use_stripe_sdk",
  "receipt_email",
  "setup_future_usage",
] as const;

export interface CardChoice {
  /** A test token, or the id of a payment method. */
  token: string | undefined;
  refusesAction: boolean;
  returnUrl: string | undefined;
}

/** The token of a request, wherever it stands; undefined when it names none. */
export function tokenOf(form: Form): string | undefined {
  if (typeof form.payment_method === "string") return form.payment_method || undefined;
  const data = form.payment_method_data;
  const card = typeof data === "object" ? data.card : undefined;
  return typeof card === "object" && typeof card.token === "string" ? card.token : undefined;
}

/** Reads which card is meant. */
export function cardChoice(form: Form): CardChoice {
  const data = groupOf(form, "payment_method_data");
  if (data) {
    refuseUnknown(data, ["type", "card", "billing_details", "metadata"], "payment_method_data");
    if (requiredText(data, "type") !== "card")
      throw invalidRequest("Only cards are simulated.", { param: "payment_method_data[type]" });
    const card = groupOf(data, "card") ?? {};
    refuseUnknown(card, ["token"], "payment_method_data[card]");
    requiredText(card, "token");
  }
  textOf(form, "payment_method");
  return {
    token: tokenOf(form),
    refusesAction: booleanOf(form, "error_on_requires_action") ?? false,
    returnUrl: textOf(form, "return_url", 5000),
  };
}

/** The payment method of a token, made for this once, or the one that has this id. */
export function methodOf(draft: Draft, token: string): PaymentMethod {
  const known = draft.get("payment_method", token);
  if (known) return known;
  if (!testCard(token)) throw missing("PaymentMethod", token, "payment_method");
  return draft.put(newMethod(draft.id("pm_1"), draft.nowSeconds, token));
}

/** Refuses to confirm from a server what could send the customer to another page without a way back. */
export function requireReturnUrl(intent: PaymentIntent, { returnUrl }: CardChoice): void {
  const { automatic_payment_methods: automatic } = intent;
  if (!automatic?.enabled || automatic.allow_redirects === "never" || returnUrl !== undefined) return;
  throw invalidRequest(
    "This PaymentIntent is configured to accept payment methods that may redirect. Provide a `return_url`, or set `automatic_payment_methods[allow_redirects]` to `never`.",
    { param: "return_url", payment_intent: intent },
  );
}

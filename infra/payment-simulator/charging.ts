import { ApiError, type ErrorBody } from "./api-error";
import type { Draft } from "./draft";
import { newEntry } from "./ledger";
import { type Charge, newCharge, type PaymentIntent, type PaymentMethod } from "./objects";
import { type Answer, ok } from "./operation";
import { type CardBehaviour, testCard } from "./test-cards";

type Decline = Extract<CardBehaviour, { kind: "declines" }>;

const authenticationRequired: Decline = {
  kind: "declines",
  code: "authentication_required",
  declineCode: "authentication_required",
  message: "Your card was declined. This transaction requires authentication.",
};

export const settlementDecline: Decline = {
  kind: "declines",
  code: "card_declined",
  declineCode: "generic_decline",
  message: "Your card was declined.",
};

/** The card takes: the money is promised, and with automatic capture taken at once. */
export function succeed(draft: Draft, intent: PaymentIntent, method: PaymentMethod): PaymentIntent {
  const takesAtOnce = intent.capture_method !== "manual";
  const charge = draft.put<Charge>({
    ...newCharge(draft.id("ch_3"), draft.nowSeconds, intent, method),
    amount_captured: takesAtOnce ? intent.amount : 0,
    captured: takesAtOnce,
    paid: true,
    status: "succeeded",
  });
  draft.enter(newEntry("authorize", intent, intent.amount));
  if (takesAtOnce) draft.enter(newEntry("capture", intent, intent.amount));
  const paid = draft.put<PaymentIntent>({
    ...intent,
    status: takesAtOnce ? "succeeded" : "requires_capture",
    amount_capturable: takesAtOnce ? 0 : intent.amount,
    amount_received: takesAtOnce ? intent.amount : 0,
    last_payment_error: null,
    latest_charge: charge.id,
    next_action: null,
    payment_method: method.id,
  });
  draft.announce("charge.succeeded", charge);
  draft.announce(takesAtOnce ? "payment_intent.succeeded" : "payment_intent.amount_capturable_updated", paid);
  return paid;
}

/** The card refuses: the intent waits for another one. Returns it and the error of the answer. */
export function decline(
  draft: Draft,
  intent: PaymentIntent,
  method: PaymentMethod,
  { code, declineCode, message }: Decline,
): { intent: PaymentIntent; error: ErrorBody } {
  const charge = draft.put<Charge>({
    ...newCharge(draft.id("ch_3"), draft.nowSeconds, intent, method),
    failure_code: code,
    failure_message: message,
    status: "failed",
  });
  const { body } = new ApiError(402, {
    type: "card_error",
    code,
    decline_code: declineCode,
    message,
    charge: charge.id,
    payment_method: method,
    payment_method_type: "card",
  });
  const failed = draft.put<PaymentIntent>({
    ...intent,
    status: "requires_payment_method",
    last_payment_error: body as PaymentIntent["last_payment_error"],
    latest_charge: charge.id,
    next_action: null,
    payment_method: null,
  });
  draft.announce("charge.failed", charge);
  draft.announce("payment_intent.payment_failed", failed);
  return { intent: failed, error: { ...body, payment_intent: failed } };
}

const refused = (error: ErrorBody): Answer => ({ status: 402, body: { error } });

/** Asks the card of an intent for its money. */
export function charge(
  draft: Draft,
  intent: PaymentIntent,
  method: PaymentMethod,
  refusesAction: boolean,
): Answer {
  const { behaviour } = testCard(method.card.fingerprint!)!;
  switch (behaviour.kind) {
    case "succeeds":
      return ok(succeed(draft, intent, method));
    case "declines":
      return refused(decline(draft, intent, method, behaviour).error);
    case "processes": {
      const running = draft.put<PaymentIntent>({
        ...intent,
        status: "processing",
        payment_method: method.id,
      });
      draft.announce("payment_intent.processing", running);
      return ok(running);
    }
    case "asks": {
      if (refusesAction) return refused(decline(draft, intent, method, authenticationRequired).error);
      const asking = draft.put<PaymentIntent>({
        ...intent,
        status: "requires_action",
        next_action: { type: "use_stripe_sdk", use_stripe_sdk: {} },
        payment_method: method.id,
      });
      draft.announce("payment_intent.requires_action", asking);
      return ok(asking);
    }
  }
}

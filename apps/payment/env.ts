import { baseEnv } from "@mall/kernel/env";
import { choice, secretText, url, whole } from "@mall/kernel/env-fields";
import * as z from "zod/mini";

/** Environment of the payment service. */
export const paymentEnv = z.extend(baseEnv, {
  PAYMENT_PROVIDER: choice(["fake", "stripe"], "fake", "Payment provider; fake moves no money."),
  PAYMENT_ALLOW_FAKE: choice(
    ["0", "1"],
    "0",
    "1 lets the fake provider run in production, for demonstrations only.",
  ),
  PAYMENT_OPEN_TTL_SECONDS: whole(
    { min: 1, max: 604_800 },
    3600,
    "Seconds after which an authorization that nobody captured is dropped.",
  ),
  STRIPE_SECRET_KEY: secretText(16, "Stripe's secret key; must be set for stripe."),
  STRIPE_WEBHOOK_SECRET: secretText(
    16,
    "Signing secret of the webhook at /webhooks/payments/stripe; must be set for stripe.",
  ),
  STRIPE_API_BASE: url("https://api.stripe.com", "Origin of Stripe's API; the simulator's in tests."),
});

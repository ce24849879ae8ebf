import { baseEnv, secretText } from "@mall/kernel/env";
import * as z from "zod";

/** Environment of the payment service. */
export const paymentEnv = baseEnv.extend({
  PAYMENT_PROVIDER: z
    .enum(["fake", "stripe"])
    .default("fake")
    .describe("Payment provider; fake moves no money."),
  PAYMENT_ALLOW_FAKE: z
    .enum(["0", "1"])
    .default("0")
    .describe("1 lets the fake provider run in production, for demonstrations only."),
  PAYMENT_OPEN_TTL_SECONDS: z.coerce
    .number()
    .int()
    .min(1)
    .max(604_800)
    .default(3600)
    .describe("Seconds after which an authorization that nobody captured is dropped."),
  STRIPE_SECRET_KEY: secretText(16, "Stripe's secret key; must be set for stripe."),
  STRIPE_WEBHOOK_SECRET: secretText(
    16,
    "Signing secret of the webhook at /webhooks/payments/stripe; must be set for stripe.",
  ),
  STRIPE_API_BASE: z
    .url({ protocol: /^https?$/ })
    .default("https://api.stripe.com")
    .describe("Origin of Stripe's API; the simulator's in tests."),
});

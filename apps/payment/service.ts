import journal from "@mall/db/migrations/payment/meta/_journal.json";
import openapi from "@mall/gen/openapi/payment.json";
import { createApp, createKernel, type Kernel, type MallApp, type Resources } from "@mall/kernel/app";
import { incompleteEnv, parseEnv } from "@mall/kernel/env";
import type * as z from "zod/mini";
import { sweep } from "./application/sweep";
import { clearRefunds } from "./db/clear-refunds";
import type { Deps } from "./deps";
import { paymentEnv } from "./env";
import { fakeProvider } from "./providers/fake";
import { freeOfCharge } from "./providers/free";
import type { PaymentProvider } from "./providers/port";
import { stripeProvider } from "./providers/stripe";
import { refundAnswer } from "./transport/codec";
import { paymentConsumers } from "./transport/events";
import { paymentRpc } from "./transport/rpc";
import { webhookRoute } from "./transport/webhook";

type PaymentEnv = z.infer<typeof paymentEnv>;

/** The provider that the environment names. Throws when a secret of it is missing. */
function providerOf(env: PaymentEnv, { db, clock }: Kernel): PaymentProvider {
  if (env.PAYMENT_PROVIDER === "fake") {
    if (env.MALL_ENV !== "production" || env.PAYMENT_ALLOW_FAKE === "1") return fakeProvider(db, clock);
    throw incompleteEnv([
      "PAYMENT_PROVIDER: the fake provider moves no money; in production it runs only with PAYMENT_ALLOW_FAKE=1",
    ]);
  }
  const secrets = ["STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"] as const;
  const missing = secrets.filter((name) => env[name] === "");
  if (missing.length > 0)
    throw incompleteEnv(missing.map((name) => `${name}: must be set for PAYMENT_PROVIDER=stripe`));
  return stripeProvider({
    secretKey: env.STRIPE_SECRET_KEY,
    webhookSecret: env.STRIPE_WEBHOOK_SECRET,
    apiBase: env.STRIPE_API_BASE,
    clock,
  });
}

/** The payment service on a host's resources. The fake provider is refused in production unless it is asked for. */
export function createPaymentService(resources: Resources): MallApp {
  const env = parseEnv(paymentEnv, resources.env);
  const kernel = createKernel("payment", resources, env);
  const deps: Deps = {
    ...kernel,
    notes: kernel.personal.rows("refunds"),
    provider: freeOfCharge(providerOf(env, kernel)),
    currency: env.CURRENCY,
    openTtlSeconds: env.PAYMENT_OPEN_TTL_SECONDS,
    refundAnswer,
  };
  return createApp(kernel, {
    implementations: [paymentRpc(deps)],
    consumers: paymentConsumers(deps),
    migrations: journal.entries.length,
    openapi,
    clear: [clearRefunds],
    routes: webhookRoute(deps),
    sweep: sweep(deps),
  });
}

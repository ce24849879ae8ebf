import journal from "@mall/db/migrations/payment/meta/_journal.json";
import openapi from "@mall/gen/openapi/payment.json";
import { createApp, createKernel, type MallApp, type Resources } from "@mall/kernel/app";
import { parseEnv } from "@mall/kernel/env";
import type { Deps } from "./deps";
import { paymentEnv } from "./env";
import { fakeProvider } from "./providers/fake";
import { paymentRpc } from "./transport/rpc";

/** The payment service on a host's resources. The fake provider is refused in production unless it is asked for. */
export function createPaymentService(resources: Resources): MallApp {
  const env = parseEnv(paymentEnv, resources.env);
  if (env.MALL_ENV === "production" && env.PAYMENT_PROVIDER === "fake" && env.PAYMENT_ALLOW_FAKE !== "1") {
    throw new Error(
      "The environment is not complete:\n  PAYMENT_PROVIDER: the fake provider moves no money; in production it runs only with PAYMENT_ALLOW_FAKE=1",
    );
  }
  const kernel = createKernel("payment", resources, env);
  const deps: Deps = { ...kernel, provider: fakeProvider(kernel.db, kernel.clock), currency: env.CURRENCY };
  return createApp(kernel, {
    implementations: [paymentRpc(deps)],
    migrations: journal.entries.length,
    openapi,
  });
}

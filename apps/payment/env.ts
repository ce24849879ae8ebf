import { baseEnv } from "@mall/kernel/env";
import { z } from "zod";

/** Environment of the payment service. */
export const paymentEnv = baseEnv.extend({
  PAYMENT_PROVIDER: z.enum(["fake"]).default("fake").describe("Payment provider; fake moves no money."),
  PAYMENT_ALLOW_FAKE: z
    .enum(["0", "1"])
    .default("0")
    .describe("1 lets the fake provider run in production, for demonstrations only."),
});

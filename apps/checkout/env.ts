import { baseEnv } from "@mall/kernel/env";
import * as z from "zod";

/** Environment of the checkout service. */
export const checkoutEnv = baseEnv.extend({
  UNPAID_ORDER_TTL_SECONDS: z.coerce
    .number()
    .int()
    .min(1)
    .max(604_800)
    .default(1800)
    .describe("Seconds an order may stay unpaid before it is cancelled."),
  HOLD_TTL_SECONDS: z.coerce
    .number()
    .int()
    .min(1)
    .max(604_800)
    .optional()
    .describe(
      "Seconds the units of an unpaid order are on hold; as long as the order may stay unpaid when unset.",
    ),
  CHECKOUT_CONCURRENCY: z.coerce
    .number()
    .int()
    .min(1)
    .max(10_000)
    .default(16)
    .describe("Checkouts one instance works on at once; what comes beyond gets 503 OVERLOADED."),
});

import { baseEnv } from "@mall/kernel/env";
import { z } from "zod";

/** Environment of the checkout service. */
export const checkoutEnv = baseEnv.extend({
  UNPAID_ORDER_TTL_SECONDS: z.coerce
    .number()
    .int()
    .min(1)
    .max(604_800)
    .default(1800)
    .describe("Seconds an order may stay unpaid before it is cancelled; its units stay on hold as long."),
});

import { baseEnv } from "@mall/kernel/env";
import * as z from "zod";

/** Environment of the product service. */
export const productEnv = baseEnv.extend({
  HOLD_UNITS_PER_USER: z.coerce
    .number()
    .int()
    .min(0)
    .max(1_000_000)
    .default(500)
    .describe("Units that the unpaid orders of one user may hold together; 0 is no limit."),
  LOW_STOCK_THRESHOLD: z.coerce
    .number()
    .int()
    .min(0)
    .max(1_000_000)
    .default(5)
    .describe("Available units at which a variant's stock is announced as low."),
});

import { baseEnv, upstashEnv } from "@mall/kernel/env";
import * as z from "zod";

/** Environment of the cart service. */
export const cartEnv = baseEnv.extend({
  OFFER_CACHE_MS: z.coerce
    .number()
    .int()
    .min(0)
    .max(60_000)
    .optional()
    .describe(
      "Milliseconds that prices, titles and stock may be old which carts show; 0 keeps none, above 1000 needs UPSTASH_REDIS_REST_URL. 1000 in production, else 0.",
    ),
  ...upstashEnv,
});

export type CartEnv = z.infer<typeof cartEnv>;

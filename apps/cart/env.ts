import { baseEnv, upstashEnv } from "@mall/kernel/env";
import { optionalWhole } from "@mall/kernel/env-fields";
import * as z from "zod/mini";

/** Environment of the cart service. */
export const cartEnv = z.extend(baseEnv, {
  OFFER_CACHE_MS: optionalWhole(
    { min: 0, max: 60_000 },
    "Milliseconds that prices, titles and stock may be old which carts show; 0 keeps none, above 1000 needs UPSTASH_REDIS_REST_URL. 1000 in production, else 0.",
  ),
  ...upstashEnv,
});

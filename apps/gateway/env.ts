import { baseEnv, upstashEnv } from "@mall/kernel/env";
import * as z from "zod";

/** Environment of the gateway. */
export const gatewayEnv = baseEnv.extend({
  CORS_ORIGINS: z
    .string()
    .default("")
    .describe("Comma list of origins whose browsers may call; in dev and test every origin when empty."),
  TRUSTED_PROXIES: z
    .string()
    .default("")
    .describe(
      "Proxies whose X-Forwarded-For is believed: how many stand in front, or a comma list of their addresses and networks (10.0.0.0/8).",
    ),
  RATE_LIMIT_PER_ADDRESS: z.coerce
    .number()
    .int()
    .min(0)
    .max(100_000)
    .optional()
    .describe(
      "Requests a second of one address, twice as many at once; 0 turns all rate limits off. 10 in production, else 0.",
    ),
  PUBLIC_CACHE_MS: z.coerce
    .number()
    .int()
    .min(0)
    .max(60_000)
    .optional()
    .describe(
      "Milliseconds that an answer to a read of public data may be old; 0 keeps none, not even for when the catalogue is away. 1000 in production, else 0.",
    ),
  ...upstashEnv,
});

export type GatewayEnv = z.infer<typeof gatewayEnv>;

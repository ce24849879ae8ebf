import { baseEnv, upstashEnv } from "@mall/kernel/env";
import { optionalWhole, text } from "@mall/kernel/env-fields";
import * as z from "zod/mini";

/** Environment of the gateway. */
export const gatewayEnv = z.extend(baseEnv, {
  CORS_ORIGINS: text(
    "Comma list of origins whose browsers may call; in dev and test every origin when empty.",
  ),
  TRUSTED_PROXIES: text(
    "Proxies whose X-Forwarded-For is believed: how many stand in front, or a comma list of their addresses and networks (10.0.0.0/8).",
  ),
  RATE_LIMIT_PER_ADDRESS: optionalWhole(
    { min: 0, max: 100_000 },
    "Requests a second of one address, twice as many at once; 0 turns all rate limits off. 10 in production, else 0.",
  ),
  PUBLIC_CACHE_MS: optionalWhole(
    { min: 0, max: 60_000 },
    "Milliseconds that an answer to a read of public data may be old; 0 keeps none, not even for when the catalogue is away. 1000 in production, else 0.",
  ),
  EDGE_TLS_CERT: text(
    "File with the certificate (PEM, with those between it and the root) by which the gateway serves https on both of its ports; read again when it changes (not on Workers).",
  ),
  EDGE_TLS_KEY: text("File with its private key, which nobody else may read."),
  ...upstashEnv,
});

export type GatewayEnv = z.infer<typeof gatewayEnv>;

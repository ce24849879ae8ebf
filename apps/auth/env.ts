import { baseEnv } from "@mall/kernel/env";
import { z } from "zod";

const daySeconds = 86_400;

/** Environment of the auth service. */
export const authEnv = baseEnv.extend({
  ACCESS_TOKEN_TTL_SECONDS: z.coerce
    .number()
    .int()
    .min(1)
    .max(900)
    .default(900)
    .describe("Seconds an access token is valid; at most 15 minutes."),
  REFRESH_TOKEN_TTL_SECONDS: z.coerce
    .number()
    .int()
    .min(1)
    .max(365 * daySeconds)
    .default(30 * daySeconds)
    .describe("Seconds a refresh token is valid, which is how long a session lasts without a refresh."),
});

/** Configuration of the auth service. */
export type AuthEnv = z.infer<typeof authEnv>;

import { baseEnv, secretText, upstashEnv } from "@mall/kernel/env";
import * as z from "zod";

const daySeconds = 86_400;

/** Environment of the auth service. */
export const authEnv = baseEnv.extend({
  CONFIG_STORE: z
    .enum(["postgres", "redis"])
    .default("postgres")
    .describe(
      "Where the settings are kept that operators change while the mall runs; redis needs UPSTASH_REDIS_REST_URL.",
    ),
  ...upstashEnv,
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
  MAILER: z
    .enum(["console", "http", "none"])
    .default("console")
    .describe(
      "What sends mails: a provider's HTTP API, or nobody; console prints them, refused in production.",
    ),
  MAILER_URL: z
    .url({ protocol: /^https?$/ })
    .default("https://api.resend.com/emails")
    .describe("Address that takes a mail as JSON by POST, in the shape of Resend's API."),
  MAILER_TOKEN: secretText(16, "Bearer token of the mail provider; needed by MAILER=http."),
  MAIL_FROM: z
    .string()
    .default("")
    .describe('Sender of mails, such as "Shop <no-reply@shop.example>"; needed by MAILER=http.'),
});

/** Configuration of the auth service. */
export type AuthEnv = z.infer<typeof authEnv>;

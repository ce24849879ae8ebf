import { baseEnv, upstashEnv } from "@mall/kernel/env";
import { choice, secretText, text, url, whole } from "@mall/kernel/env-fields";
import * as z from "zod/mini";

const daySeconds = 86_400;

/** Environment of the auth service. */
export const authEnv = z.extend(baseEnv, {
  CONFIG_STORE: choice(
    ["postgres", "redis"],
    "postgres",
    "Where the settings are kept that operators change while the mall runs; redis needs UPSTASH_REDIS_REST_URL.",
  ),
  ...upstashEnv,
  ACCESS_TOKEN_TTL_SECONDS: whole(
    { min: 1, max: 900 },
    900,
    "Seconds an access token is valid; at most 15 minutes.",
  ),
  REFRESH_TOKEN_TTL_SECONDS: whole(
    { min: 1, max: 365 * daySeconds },
    30 * daySeconds,
    "Seconds a refresh token is valid, which is how long a session lasts without a refresh.",
  ),
  MAILER: choice(
    ["console", "http", "none"],
    "console",
    "What sends mails: a provider's HTTP API, or nobody; console prints them, refused in production.",
  ),
  MAILER_URL: url(
    "https://api.resend.com/emails",
    "Address that takes a mail as JSON by POST, in the shape of Resend's API.",
  ),
  MAILER_TOKEN: secretText(16, "Bearer token of the mail provider; needed by MAILER=http."),
  MAIL_FROM: text('Sender of mails, such as "Shop <no-reply@shop.example>"; needed by MAILER=http.'),
});

/** Configuration of the auth service. */
export type AuthEnv = z.infer<typeof authEnv>;

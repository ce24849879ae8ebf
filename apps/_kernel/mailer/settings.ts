import { incompleteEnv } from "../env";
import { consoleMailer } from "./console";
import { httpMailer } from "./http";
import { noMailer } from "./none";
import type { Mailer } from "./port";

/** The environment of a service that sends mails. */
export interface MailerEnv {
  MALL_ENV: "dev" | "test" | "production";
  MAILER: "console" | "http" | "none";
  MAILER_URL: string;
  MAILER_TOKEN: string;
  MAIL_FROM: string;
}

/** The mailer that the environment names. Throws Error naming what is missing, and for codes printed in production. */
export function mailerOf(env: MailerEnv, print: (line: string) => void = console.log): Mailer {
  if (env.MAILER === "none") return noMailer;
  if (env.MAILER === "http") {
    const missing = (["MAILER_TOKEN", "MAIL_FROM"] as const).filter((name) => env[name] === "");
    if (missing.length > 0)
      throw incompleteEnv(missing.map((name) => `${name}: must be set for MAILER=http`));
    return httpMailer({ url: env.MAILER_URL, token: env.MAILER_TOKEN, from: env.MAIL_FROM });
  }
  if (env.MALL_ENV !== "production") return consoleMailer(print);
  throw incompleteEnv(["MAILER: console prints secret codes; in production set it to http, or to none"]);
}

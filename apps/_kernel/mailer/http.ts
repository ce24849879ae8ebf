import { fault } from "../fault";
import type { Mailer } from "./port";

/** How the provider is reached. */
export interface HttpMailerSettings {
  /** Address that takes one mail as JSON by POST. */
  url: string;
  token: string;
  /** Sender: an address, or a name and an address in angle brackets. */
  from: string;
}

/** Shorter than the local bus waits for a consumer. */
const timeoutMsDefault = 4_000;

/** Answers that say nothing about the mail; 409 is an attempt at the same mail that is still under way. */
const passing: readonly number[] = [408, 409, 425, 429];

/** No cause goes along: what is written about a failure must hold nothing of the mail. */
const unavailable = (why: string) =>
  fault("unavailable", "MAILER_UNAVAILABLE", `The mail provider ${why}.`, { retryAfterSeconds: 5 });

/**
 * Mails over a provider's HTTP API, in the shape of Resend's: bearer token, JSON with from, to, subject, text and html,
 * and an Idempotency-Key by which a repeated attempt sends nothing twice.
 */
export function httpMailer(settings: HttpMailerSettings, timeoutMs: number = timeoutMsDefault): Mailer {
  const { url, token, from } = settings;
  return {
    async send({ id, to, subject, text, html }) {
      const response = await fetch(url, {
        method: "POST",
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": "application/json",
          "idempotency-key": id,
        },
        body: JSON.stringify({ from, to: [to], subject, text, html }),
        // the token is for this address and no other
        redirect: "manual",
        signal: AbortSignal.timeout(timeoutMs),
      }).catch(() => {
        throw unavailable("cannot be reached");
      });
      await response.body?.cancel().catch(() => {});
      const { status } = response;
      if (response.ok) return;
      if (status >= 500 || passing.includes(status)) throw unavailable(`answered ${status}`);
      throw fault("failed_precondition", "MAIL_REFUSED", `The mail provider answered ${status}.`);
    },
  };
}

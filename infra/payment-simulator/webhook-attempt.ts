import type { Redelivery, WebhookEndpoint } from "./control-contract";
import type { Event } from "./objects";
import { signatureOf } from "./webhook-signature";

const answerWithinMs = 5000;

/** How a delivery is signed when not as it should be. */
export type Forgery = Pick<Redelivery, "secret" | "signedSecondsAgo">;

/** Tells an endpoint about an event, once. Returns the status of its answer, 0 when there is none. */
export async function attempt(
  endpoint: WebhookEndpoint,
  event: Event,
  nowMs: number,
  signal: AbortSignal,
  forgery: Forgery = {},
): Promise<number> {
  const body = JSON.stringify(event, null, 2);
  const atSeconds = Math.floor(nowMs / 1000) - (forgery.signedSecondsAgo ?? 0);
  try {
    const response = await fetch(endpoint.url, {
      method: "POST",
      headers: {
        "content-type": "application/json; charset=utf-8",
        "stripe-signature": signatureOf(body, forgery.secret ?? endpoint.secret, atSeconds),
        "user-agent": "Stripe/1.0 (simulated)",
      },
      body,
      redirect: "manual",
      signal: AbortSignal.any([AbortSignal.timeout(answerWithinMs), signal]),
    });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return 0;
  }
}

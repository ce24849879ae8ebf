import { createHmac } from "node:crypto";

/** The Stripe-Signature of a body: the time in seconds, and an HMAC of both. */
export function signatureOf(body: string, secret: string, atSeconds: number): string {
  const digest = createHmac("sha256", secret).update(`${atSeconds}.${body}`).digest("hex");
  return `t=${atSeconds},v1=${digest}`;
}

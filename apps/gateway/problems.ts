import type { Context } from "hono";
import { html } from "hono/html";

/** What to do about the reasons that clients meet most; the other ones are told by their own detail text. */
const advice: Record<string, string> = {
  VALIDATION: "Correct the fields that `errors` points to and send the request again.",
  UNAUTHENTICATED: "Sign in and send the access token as Authorization: Bearer.",
  TOKEN_EXPIRED: "Exchange the refresh token for new tokens and send the request again.",
  OUT_OF_STOCK: "Fewer units are left than asked for; `metadata.variantId` names the variant.",
  PAYMENT_DECLINED: "Nothing was charged. Try another card with a new Idempotency-Key.",
  PRICE_CHANGED: "Show the customer the new total and send it as expectedTotal with a new Idempotency-Key.",
  CART_LOCKED: "A checkout of this cart is running. Wait for it, then try again.",
  CART_CONVERTED: "This cart has been bought. Create a new one.",
  IDEMPOTENCY_KEY_REQUIRED:
    "Send an Idempotency-Key header, a fresh random value for each intended purchase.",
  IDEMPOTENCY_KEY_REUSED: "This key was used for another request. Use a new one.",
  IDEMPOTENCY_KEY_IN_FLIGHT:
    "Wait as long as Retry-After says and send the same request with the same key again.",
  VERSION_MISMATCH: "Somebody changed the object. Read it again and repeat the change on its new version.",
};

/** The page behind a problem's `type`. */
export function problemPage(c: Context): Response | Promise<Response> {
  const slug = (c.req.param("reason") ?? "").toLowerCase().replaceAll(/[^a-z0-9-]/g, "");
  const reason = slug.toUpperCase().replaceAll("-", "_");
  const text =
    advice[reason] ?? "The problem's detail says what happened; its request id finds it in the log.";
  return c.html(
    html`<!doctype html><html lang="en"><meta charset="utf-8"><title>${reason}</title><h1>${reason}</h1><p>${text}</p></html>`,
  );
}

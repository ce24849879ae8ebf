import Stripe from "stripe";
import type { Outcome } from "../domain/payment";
import type { Attempt, Notice, PaymentProvider, RefundOrder, RefundOutcome, Standing } from "./port";

export interface StripeOptions {
  secretKey: string;
  webhookSecret: string;
  /** Origin of the API. */
  apiBase: string;
  clock: () => Date;
}

/** One call of the port ends within this time, however many requests it takes. */
const callMs = 4000;
/** Stripe forgets idempotency keys after 24 hours; by then its search, which is late by minutes, knows every intent. */
const keyMemoryMs = 23 * 3600 * 1000;
const toleranceSeconds = 300;
const refundKeysMax = 5;

/** Options of the next request of a call; throws when the call has no time left. */
type Options = (idempotencyKey?: string) => Stripe.RequestOptions;

/** What may be said about a failure: messages of Stripe can hold tokens. */
function redacted(error: unknown): Error {
  if (!(error instanceof Stripe.errors.StripeError)) return error as Error;
  const { type, code, statusCode, requestId } = error;
  const lost = (error.detail as { code?: string } | undefined)?.code;
  return new Error(`stripe: ${[type, code, statusCode, requestId, lost].filter(Boolean).join(" ")}`);
}

/** Runs one call of the port within its time. */
async function bounded<T>(run: (options: Options) => Promise<T>): Promise<T> {
  const endsAt = performance.now() + callMs;
  const options: Options = (idempotencyKey) => {
    const timeout = Math.floor(endsAt - performance.now());
    if (timeout <= 0) throw new Error("stripe: no time left");
    return idempotencyKey === undefined ? { timeout } : { timeout, idempotencyKey };
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`stripe: no answer within ${callMs} ms`)), callMs);
  });
  try {
    // the library repeats a request whose connection was reset, with its whole timeout again
    return await Promise.race([run(options), late]);
  } catch (error) {
    throw redacted(error);
  } finally {
    clearTimeout(timer);
  }
}

/** Why a card was refused; what Stripe calls generic says less than the error's own code. */
function declineCodeOf({ decline_code, code }: { decline_code?: string; code?: string }): string {
  const reason = decline_code === "generic_decline" ? undefined : decline_code;
  return reason || code || "card_declined";
}

/** Code of a definite refusal: nothing was done. Rate limits, conflicts of keys and 5xx are none. */
function refusalCode(error: unknown): string | undefined {
  if (error instanceof Stripe.errors.StripeCardError) return declineCodeOf(error);
  const isInvalid = error instanceof Stripe.errors.StripeInvalidRequestError && error.statusCode === 400;
  return isInvalid ? error.code || "invalid_request" : undefined;
}

/** Whether a key replays a failure of Stripe: the request has ended, and repeating the key leads nowhere. */
const isReplayedFailure = (error: unknown): boolean =>
  error instanceof Stripe.errors.StripeError &&
  (error.statusCode ?? 0) >= 500 &&
  error.headers?.["idempotent-replayed"] === "true";

/** What an intent says about its attempt; throws while Stripe itself does not know. */
function standingOf(intent: Stripe.PaymentIntent): Standing {
  const { id: ref, status, last_payment_error: failure } = intent;
  if (status === "succeeded") return { kind: "captured", ref, captured: BigInt(intent.amount_received) };
  if (status === "requires_capture") return { kind: "authorized", ref };
  if (status === "canceled") return { kind: "voided", ref };
  if (status === "processing") throw new Error("stripe: the payment is processing");
  if (status === "requires_payment_method" && failure)
    return { kind: "declined", ref, code: declineCodeOf(failure) };
  return { kind: "open", ref };
}

/** An outcome of something that was sent; still open means that it is not known. */
function outcomeOf(intent: Stripe.PaymentIntent): Outcome {
  const standing = standingOf(intent);
  if (standing.kind === "open") throw new Error(`stripe: the payment is ${intent.status}`);
  return standing;
}

function refundOutcome({ status }: Stripe.Refund): RefundOutcome {
  if (status === "succeeded") return "succeeded";
  if (status === "failed" || status === "canceled") return "failed";
  throw new Error(`stripe: the refund is ${status}`);
}

const isMadeFor = (intent: Stripe.PaymentIntent, attempt: Attempt) =>
  intent.metadata.payment_id === attempt.id;

/** The same for every call of an attempt, as its key asks for. */
const createParams = ({ id, orderId, amount, capture }: Attempt): Stripe.PaymentIntentCreateParams => ({
  amount: Number(amount.minor),
  currency: amount.currency.toLowerCase(),
  capture_method: capture ? "automatic" : "manual",
  // nobody is there to be sent to another page
  automatic_payment_methods: { enabled: true, allow_redirects: "never" },
  metadata: { payment_id: id, order_id: orderId },
});

/** A payment method, or a one-time token, which the API takes although the library's types do not name it. */
function cardOf(token: string): Stripe.PaymentIntentConfirmParams {
  if (token.startsWith("pm_")) return { payment_method: token };
  const data = { type: "card", card: { token } } as const;
  return { payment_method_data: data };
}

/** The intents of attempts. */
function intents(stripe: Stripe, clock: () => Date) {
  const expand = ["latest_charge"];
  const retrieve = (ref: string, options: Options) =>
    stripe.paymentIntents.retrieve(ref, { expand }, options());
  const create = (attempt: Attempt, options: Options) =>
    stripe.paymentIntents.create(createParams(attempt), options(attempt.id));

  /** The name of an attempt's intent, asked for by creating it again under the same key, which needs no card. */
  async function refOf(attempt: Attempt, options: Options): Promise<string | undefined> {
    if (clock().getTime() - attempt.createdAt.getTime() > keyMemoryMs) {
      const query = `metadata["payment_id"]:"${attempt.id}"`;
      return (await stripe.paymentIntents.search({ query, limit: 1 }, options())).data[0]?.id;
    }
    try {
      return (await create(attempt, options)).id;
    } catch (error) {
      // a name that was never told cannot have been confirmed
      if (isReplayedFailure(error) || refusalCode(error) !== undefined) return undefined;
      throw error;
    }
  }

  /** The intent of an attempt as it is now; undefined when there is none that could ever have been confirmed. */
  async function find(attempt: Attempt, options: Options): Promise<Stripe.PaymentIntent | undefined> {
    const ref = attempt.providerRef || (await refOf(attempt, options));
    if (ref === undefined) return undefined;
    const intent = await retrieve(ref, options);
    if (!isMadeFor(intent, attempt)) throw new Error(`stripe: ${ref} belongs to another payment`);
    return intent;
  }

  /** Does something to an intent; when Stripe refuses, the intent itself tells why. */
  async function change(
    ref: string,
    options: Options,
    run: () => Promise<Stripe.PaymentIntent>,
  ): Promise<Outcome> {
    try {
      return outcomeOf(await run());
    } catch (error) {
      if (refusalCode(error) === undefined) throw error;
      return outcomeOf(await retrieve(ref, options));
    }
  }

  return { retrieve, create, find, change };
}

type Intents = ReturnType<typeof intents>;

/** Creates an intent without a card, then confirms it with the card: a repetition never needs the card again. */
async function authorize(
  stripe: Stripe,
  { create, retrieve }: Intents,
  attempt: Attempt,
  token: string,
  options: Options,
): Promise<Outcome> {
  let ref: string;
  try {
    ref = (await create(attempt, options)).id;
  } catch (error) {
    const code = refusalCode(error);
    if (code === undefined) throw error;
    return { kind: "declined", ref: "", code };
  }
  try {
    const params = { ...cardOf(token), error_on_requires_action: true };
    return outcomeOf(await stripe.paymentIntents.confirm(ref, params, options(`${attempt.id}:confirm`)));
  } catch (error) {
    const code = refusalCode(error);
    if (code === undefined) throw error;
    if (error instanceof Stripe.errors.StripeCardError) return { kind: "declined", ref, code };
    // a token that is none, or an attempt that was closed meanwhile
    const standing = standingOf(await retrieve(ref, options));
    if (standing.kind !== "open") return standing;
    await stripe.paymentIntents.cancel(ref, {}, options(`${attempt.id}:refused`));
    return { kind: "declined", ref, code };
  }
}

/** Drops an intent; one that is gone, declined or captured stays as it is. */
async function drop(stripe: Stripe, found: Intents, attempt: Attempt, options: Options): Promise<Outcome> {
  const intent = await found.find(attempt, options);
  if (!intent) return { kind: "voided", ref: "" };
  const standing = standingOf(intent);
  if (standing.kind !== "open" && standing.kind !== "authorized") return standing;
  return found.change(intent.id, options, () =>
    stripe.paymentIntents.cancel(intent.id, {}, options(`${attempt.id}:void:${attempt.attempts}`)),
  );
}

/** The refund that was made for one of ours, if there is one. */
async function findRefund(
  stripe: Stripe,
  ref: string,
  refundId: string,
  options: Options,
): Promise<Stripe.Refund | undefined> {
  for await (const refund of stripe.refunds.list({ payment_intent: ref, limit: 100 }, options())) {
    if (refund.metadata?.refund_id === refundId) return refund;
  }
  return undefined;
}

/**
 * Pays back once. A key that replays a failure is given up for the next one, after the list of refunds showed that
 * nothing was made under it; all repetitions go through the same keys in the same order.
 */
async function payBack(
  stripe: Stripe,
  attempt: Attempt,
  { id, amount, attempts }: RefundOrder,
  options: Options,
): Promise<RefundOutcome> {
  const ref = attempt.providerRef;
  const find = () => findRefund(stripe, ref, id, options);
  const made = attempts > 0 ? await find() : undefined;
  if (made) return refundOutcome(made);
  const params = {
    payment_intent: ref,
    amount: Number(amount),
    metadata: { refund_id: id, payment_id: attempt.id },
  };
  for (let n = 0; n < refundKeysMax; n++) {
    try {
      return refundOutcome(await stripe.refunds.create(params, options(n === 0 ? id : `${id}:${n}`)));
    } catch (error) {
      const isRefused = refusalCode(error) !== undefined;
      if (!isRefused && !isReplayedFailure(error)) throw error;
      const found = await find();
      if (found) return refundOutcome(found);
      if (isRefused) return "failed";
    }
  }
  throw new Error("stripe: every key of the refund replays a failure");
}

/** The intent, payment and refund that an event is about; the event's own words count for no more than that. */
function noticeOf(event: Stripe.Event): Notice {
  const about = event.data.object as {
    object?: string;
    id?: string;
    payment_intent?: string | { id: string } | null;
    metadata?: Record<string, string> | null;
  };
  const intent = about.object === "payment_intent" ? about.id : about.payment_intent;
  return {
    id: event.id,
    ref: (typeof intent === "object" ? intent?.id : intent) ?? "",
    paymentId: about.metadata?.payment_id ?? "",
    refundId: about.metadata?.refund_id ?? "",
  };
}

/** The library takes signatures from the future. */
const isFromTheFuture = (signature: string, now: Date): boolean =>
  Number(/(?:^|,)t=(\d+)/.exec(signature)?.[1] ?? 0) > now.getTime() / 1000 + toleranceSeconds;

/** Stripe through its own library, on Bun and Workers alike. */
export function stripeProvider({ secretKey, webhookSecret, apiBase, clock }: StripeOptions): PaymentProvider {
  const { protocol, hostname, port } = new URL(apiBase);
  const stripe = new Stripe(secretKey, {
    httpClient: Stripe.createFetchHttpClient(),
    protocol: protocol === "http:" ? "http" : "https",
    host: hostname,
    port: port || (protocol === "http:" ? "80" : "443"),
    maxNetworkRetries: 0,
    timeout: callMs,
    telemetry: false,
  });
  const found = intents(stripe, clock);
  return {
    name: "stripe",
    authorize: (attempt, token) => bounded((options) => authorize(stripe, found, attempt, token, options)),
    lookUp: (attempt) =>
      bounded(async (options) => {
        const intent = await found.find(attempt, options);
        return intent ? standingOf(intent) : { kind: "open", ref: "" };
      }),
    capture: (attempt) =>
      bounded((options) => {
        const { id, providerRef: ref, attempts } = attempt;
        return found.change(ref, options, () =>
          stripe.paymentIntents.capture(ref, {}, options(`${id}:capture:${attempts}`)),
        );
      }),
    void: (attempt) => bounded((options) => drop(stripe, found, attempt, options)),
    refund: (attempt, refund) => bounded((options) => payBack(stripe, attempt, refund, options)),
    books: (attempt) =>
      bounded(async (options) => {
        const intent = await found.find(attempt, options);
        const captured = BigInt(intent?.amount_received ?? 0);
        const charge = intent?.latest_charge;
        const refunded = typeof charge === "object" ? (charge?.amount_refunded ?? 0) : 0;
        // what was never taken counts as refunded when it is dropped
        return { captured, refunded: captured === 0n ? 0n : BigInt(refunded) };
      }),
    async parseWebhook(body, header) {
      const signature = header("stripe-signature") ?? "";
      const now = clock();
      if (signature === "" || isFromTheFuture(signature, now)) return undefined;
      try {
        const event = await stripe.webhooks.constructEventAsync(
          ...([body, signature, webhookSecret, toleranceSeconds, undefined, now.getTime()] as const),
        );
        return noticeOf(event);
      } catch {
        return undefined;
      }
    },
  };
}

import Stripe from "stripe";
import { type PaymentSimulator, type SimulatorOptions, startPaymentSimulator } from "./simulator";

/** The real library, pointed at a simulator. `left` makes its user go away, whatever is under way. */
export function libraryAt(
  url: string,
  { left, maxNetworkRetries = 0 }: { left?: AbortSignal; maxNetworkRetries?: number } = {},
): Stripe {
  const { hostname, port } = new URL(url);
  const leaving = (to: string, init: RequestInit = {}) => {
    const signals = [left, init.signal].filter((signal) => signal != null);
    return fetch(to, { ...init, signal: AbortSignal.any(signals) });
  };
  return new Stripe("sk_test_x", {
    httpClient: Stripe.createFetchHttpClient(leaving as typeof fetch),
    protocol: "http",
    host: hostname,
    port,
    maxNetworkRetries,
    timeout: 20_000,
    telemetry: false,
  });
}

export interface Bench extends PaymentSimulator {
  stripe: Stripe;
}

/** A simulator and the library for it, ended by `await using`. */
export async function aSimulator(options: Partial<SimulatorOptions> = {}): Promise<Bench & AsyncDisposable> {
  const simulator = await startPaymentSimulator({ port: 0, seed: 7, ...options });
  return { ...simulator, stripe: libraryAt(simulator.url), [Symbol.asyncDispose]: simulator.stop };
}

const automatic = { enabled: true, allow_redirects: "never" } as const;

/** Parameters of an intent for an order of its own. */
export const anIntent = (changes: Partial<Stripe.PaymentIntentCreateParams> = {}) => {
  const order = crypto.randomUUID();
  return {
    amount: 1000,
    currency: "usd",
    automatic_payment_methods: automatic,
    metadata: { order_id: `ord_${order}`, payment_id: `pay_${order}` },
    ...changes,
  };
};

/** An intent whose money was taken, or with `capture_method: "manual"` promised. */
export const paid = ({ stripe }: Bench, changes: Partial<Stripe.PaymentIntentCreateParams> = {}) =>
  stripe.paymentIntents.create({ ...anIntent(), confirm: true, payment_method: "tok_ok", ...changes });

type Failure = InstanceType<typeof Stripe.errors.StripeError>;

/** The error of a call that has to fail. */
export async function failureOf(call: Promise<unknown>): Promise<Failure> {
  try {
    await call;
  } catch (error) {
    if (error instanceof Stripe.errors.StripeError) return error;
    throw error;
  }
  throw new Error("the call succeeded");
}

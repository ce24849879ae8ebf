import { Violation } from "./proof";

type Json = Record<string, unknown>;

/** A REST answer. `status` 0 means that the connection was lost before one came. */
export interface Answer<T = Json> {
  status: number;
  headers: Headers;
  text: string;
  body: T & { reason?: string };
}

/** Who calls: a guest by the secret of a cart or an order, a user by a token. */
export interface Identity {
  token?: string;
  cartSecret?: string;
  orderSecret?: string;
}

export interface CallOptions {
  as?: Identity;
  key?: string;
  /** Must be a UUID: the mall carries it through all its services. */
  requestId?: string;
  headers?: Record<string, string>;
  /** Gives the connection up, as a customer does who closes the page. */
  abandonAfterMs?: number;
}

/** What the customers of a run met: answers by status and reason, with how often. */
export type Tally = Record<string, number>;

/** Requests to the gateways of the mall. */
export interface Browser {
  readonly tally: Tally;
  /** One request, once. */
  call<T = Json>(method: string, path: string, body?: unknown, options?: CallOptions): Promise<Answer<T>>;
  /**
   * The same request again and again until its answer is final: after a lost connection, while the mall is overloaded
   * or unreachable (503, 504), and while a first one with the same key or a payment is still running (409).
   */
  insist<T = Json>(method: string, path: string, body?: unknown, options?: CallOptions): Promise<Answer<T>>;
}

/** How long somebody insists: longer than any proof breaks things, so that only what never ends is a failure. */
export const patienceMs = 600_000;
const requestTimeoutMs = 40_000;

const passing = new Set(["IDEMPOTENCY_KEY_IN_FLIGHT", "CHECKOUT_IN_PROGRESS", "ORDER_PAYMENT_IN_PROGRESS"]);
/** Whether an answer says no more than that it is to be asked again. */
export const isPassing = ({ status, body }: Answer<unknown>): boolean =>
  status === 0 || status === 503 || status === 504 || (status === 409 && passing.has(body.reason ?? ""));

const lost = <T>(): Answer<T> => ({
  status: 0,
  headers: new Headers(),
  text: "",
  body: {} as Answer<T>["body"],
});

function headersOf({ as = {}, key, requestId, headers }: CallOptions, hasBody: boolean): Headers {
  const made = new Headers(headers);
  if (hasBody) made.set("content-type", "application/json");
  if (as.token) made.set("authorization", `Bearer ${as.token}`);
  if (as.cartSecret) made.set("x-cart-secret", as.cartSecret);
  if (as.orderSecret) made.set("x-order-secret", as.orderSecret);
  if (key) made.set("idempotency-key", key);
  if (requestId) made.set("x-request-id", requestId);
  return made;
}

/** A client of the mall's REST surface that takes its gateways in turn. */
export function openBrowser(gateways: readonly string[]): Browser {
  const tally: Tally = {};
  let turn = 0;
  const count = (what: string) => {
    tally[what] = (tally[what] ?? 0) + 1;
  };

  async function call<T>(method: string, path: string, body?: unknown, options: CallOptions = {}) {
    const base = gateways[turn++ % gateways.length]!;
    const signal = AbortSignal.timeout(options.abandonAfterMs ?? requestTimeoutMs);
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const headers = headersOf(options, body !== undefined);
    try {
      const response = await fetch(base + path, { method, headers, body: payload, signal });
      const text = await response.text();
      const parsed = text ? (JSON.parse(text) as Answer<T>["body"]) : ({} as Answer<T>["body"]);
      count(response.ok ? `${response.status}` : `${response.status} ${parsed.reason}`);
      return { status: response.status, headers: response.headers, text, body: parsed };
    } catch {
      count(options.abandonAfterMs === undefined ? "connection lost" : "connection given up");
      return lost<T>();
    }
  }

  async function insist<T>(method: string, path: string, body?: unknown, options: CallOptions = {}) {
    const until = Date.now() + patienceMs;
    for (let given = options; ; given = { ...options, abandonAfterMs: undefined }) {
      const answer = await call<T>(method, path, body, given);
      if (!isPassing(answer)) return answer;
      if (Date.now() > until)
        throw new Violation(
          `${method} ${path} had no final answer in ${patienceMs / 1000} s: ${answer.status} ${answer.text}`,
        );
      const waitMs = answer.status === 0 ? 100 : Number(answer.headers.get("retry-after") ?? 1) * 1000;
      // not from the seed: how often somebody waits is not an operation
      await Bun.sleep(waitMs * (1 + Math.random() / 2));
    }
  }

  return { tally, call, insist };
}

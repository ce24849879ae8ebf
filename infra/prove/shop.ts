import { must, Violation } from "./proof";
import type { Card, Provider } from "./provider";

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

export interface CartRef extends Identity {
  cartId: string;
}

export interface Line {
  variantId: string;
  quantity: number;
}

/** How an attempt to buy ended for the customer. */
export interface Purchase {
  kind: "bought" | "waiting" | "refused";
  status: number;
  /** Of a refusal. */
  reason: string;
  checkoutId: string;
  orderId: string;
  orderSecret?: string;
  /** The body of the final answer. */
  text: string;
}

interface Placed {
  checkout: { id: string; state: string };
  order?: { id: string; state: string };
  orderSecret?: string;
}

/** What the customers of a run met: answers by status and reason, with how often. */
export type Tally = Record<string, number>;

/** Customers of the mall, through its gateways. */
export interface Shop {
  readonly tally: Tally;
  /** One request, once. */
  call<T = Json>(method: string, path: string, body?: unknown, options?: CallOptions): Promise<Answer<T>>;
  /**
   * The same request again and again until its answer is final: after a lost connection, while the mall is overloaded
   * or unreachable (503, 504), and while a first one with the same key or a payment is still running (409).
   */
  insist<T = Json>(method: string, path: string, body?: unknown, options?: CallOptions): Promise<Answer<T>>;
  /** A new guest's cart with these lines, and a coupon on it. */
  guest(lines: readonly Line[], coupon?: string): Promise<CartRef>;
  /** Body of PlaceOrder; without a card it is paid later. */
  order(cartId: string, card?: Card): Json;
  /** Buys a cart, insisting, until the mall says how it ended. */
  buy(cart: CartRef, card: Card, options: CallOptions & { key: string }): Promise<Purchase>;
  /** Waits until a checkout has an end or waits for its customer. */
  outcome(checkoutId: string, as: Identity): Promise<string>;
}

const patienceMs = 120_000;
const requestTimeoutMs = 40_000;

const passing = new Set(["IDEMPOTENCY_KEY_IN_FLIGHT", "CHECKOUT_IN_PROGRESS", "ORDER_PAYMENT_IN_PROGRESS"]);
const isPassing = ({ status, body }: Answer<unknown>): boolean =>
  status === 0 || status === 503 || status === 504 || (status === 409 && passing.has(body.reason ?? ""));

const lost = <T>(): Answer<T> => ({
  status: 0,
  headers: new Headers(),
  text: "",
  body: {} as Answer<T>["body"],
});

const address = {
  ...{ name: "Ada Lovelace", line1: "1 Analytical Way", city: "Austin" },
  ...{ region: "TX", postalCode: "78701", country: "US" },
};

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

function purchaseOf(answer: Answer<unknown>): Purchase {
  const { status, text } = answer;
  const body = answer.body as Placed & { reason?: string; metadata?: Record<string, string> };
  const state = body.checkout?.state;
  const kinds: Record<string, Purchase["kind"]> = {
    CHECKOUT_STATE_COMPLETED: "bought",
    CHECKOUT_STATE_AWAITING_PAYMENT: "waiting",
  };
  return {
    kind: (state && kinds[state]) || "refused",
    ...{ status, text, reason: body.reason ?? "", orderSecret: body.orderSecret },
    checkoutId: body.checkout?.id ?? body.metadata?.checkoutId ?? "",
    orderId: body.order?.id ?? body.metadata?.orderId ?? "",
  };
}

/** Opens the doors of the mall to customers. */
export function openShop(gateways: readonly string[], provider: Provider): Shop {
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
      await Bun.sleep(waitMs * (0.5 + Math.random() / 2));
    }
  }

  async function tryGuest(lines: readonly Line[]): Promise<CartRef | undefined> {
    const made = await insist<{ cart: { id: string }; cartSecret: string }>("POST", "/v1/carts", {});
    must(made.status === 201, () => `POST /v1/carts answered ${made.status} ${made.text}`);
    const cart: CartRef = { cartId: made.body.cart.id, cartSecret: made.body.cartSecret };
    for (const line of lines) {
      const added = await call("POST", `/v1/carts/${cart.cartId}/items`, line, { as: cart });
      // whether the units are in the cart is not known: another cart
      if (isPassing(added)) return undefined;
      must(added.status === 200, () => `adding ${line.variantId} answered ${added.status} ${added.text}`);
    }
    return cart;
  }

  async function outcome(checkoutId: string, as: Identity): Promise<string> {
    const running = /STARTED|RESERVED|ORDERED|AUTHORIZED|CAPTURED|COMPENSATING/;
    for (const until = Date.now() + patienceMs; ; await Bun.sleep(250)) {
      const seen = await insist<Placed>("GET", `/v1/checkouts/${checkoutId}`, undefined, { as });
      must(seen.status === 200, () => `checkout ${checkoutId} answered ${seen.status} ${seen.text}`);
      if (!running.test(seen.body.checkout.state)) return seen.body.checkout.state;
      must(Date.now() < until, () => `checkout ${checkoutId} has no end: ${seen.body.checkout.state}`);
    }
  }

  const order = (cartId: string, card?: Card): Json => ({
    ...{ cartId, email: "ada@example.com", shippingAddress: address, shippingOption: "standard" },
    ...(card ? { payment: provider.payment(card) } : {}),
  });

  return {
    ...{ tally, call, insist, order, outcome },
    async guest(lines, coupon) {
      for (;;) {
        const cart = await tryGuest(lines);
        if (!cart) {
          await Bun.sleep(250);
          continue;
        }
        if (coupon === undefined) return cart;
        const put = await insist("PUT", `/v1/carts/${cart.cartId}/coupon`, { code: coupon }, { as: cart });
        must(put.status === 200, () => `the coupon ${coupon} answered ${put.status} ${put.text}`);
        return cart;
      }
    },
    async buy(cart, card, options) {
      const given = { as: cart, ...options };
      for (;;) {
        const answer = await insist("POST", "/v1/checkouts", order(cart.cartId, card), given);
        if (answer.status !== 202) return purchaseOf(answer);
        await outcome((answer.body as unknown as Placed).checkout.id, cart);
      }
    },
  };
}

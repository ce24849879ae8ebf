import {
  type Answer,
  type Browser,
  type CallOptions,
  type Identity,
  isPassing,
  openBrowser,
  patienceMs,
} from "./browser";
import { must } from "./proof";
import type { Card, Provider } from "./provider";

type Json = Record<string, unknown>;

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

/** Customers of the mall, through its gateways. */
export interface Shop extends Browser {
  /** A new guest's cart with these lines, and a coupon on it unless that is used up. */
  guest(lines: readonly Line[], coupon?: string): Promise<CartRef>;
  /** Body of PlaceOrder; without a card it is paid later. */
  order(cartId: string, card?: Card): Json;
  /** Buys a cart, insisting, until the mall says how it ended; without a card it is paid later. */
  buy(cart: CartRef, card: Card | undefined, options: CallOptions & { key: string }): Promise<Purchase>;
  /** Waits until a checkout has an end or waits for its customer. */
  outcome(checkoutId: string, as: Identity): Promise<string>;
}

const address = {
  ...{ name: "Ada Lovelace", line1: "1 Analytical Way", city: "Austin" },
  ...{ region: "TX", postalCode: "78701", country: "US" },
};

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
  const { tally, call, insist } = openBrowser(gateways);

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
        const usedUp = put.body.reason === "COUPON_NOT_APPLICABLE";
        must(put.status === 200 || usedUp, () => `the coupon ${coupon} answered ${put.status} ${put.text}`);
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

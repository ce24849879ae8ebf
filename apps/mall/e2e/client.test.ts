import { beforeAll, describe, expect, test } from "bun:test";
import { createClient } from "@connectrpc/connect";
import { mallTransport } from "@mall/client/connect";
import { type Fault, faultOf } from "@mall/client/fault";
import type { ClientOptions } from "@mall/client/options";
import { answerOf, mallRest } from "@mall/client/rest";
import { createSession } from "@mall/client/session";
import { CartService } from "@mall/gen/mall/cart/v1/cart_pb";
import { CheckoutService } from "@mall/gen/mall/checkout/v1/checkout_pb";
import { OrderService } from "@mall/gen/mall/order/v1/order_pb";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { host, hostKind } from "./host";
import { address, inStock, newUser, rest } from "./shop";

let url: string;
beforeAll(async () => {
  ({ url } = await host());
});

/** The calls of a customer over Connect. */
function overConnect(options: ClientOptions, useBinaryFormat: boolean) {
  const transport = mallTransport({ ...options, useBinaryFormat });
  const carts = createClient(CartService, transport);
  const orders = createClient(OrderService, transport);
  return {
    async fillCart(variantId: string, quantity: number) {
      const cartId = (await carts.createCart({})).cart!.id;
      await carts.addItem({ cartId, variantId, quantity });
      return cartId;
    },
    buy: async (cartId: string, token: string) =>
      (await createClient(CheckoutService, transport).placeOrder({
        ...{ cartId, email: "ada@example.com", shippingAddress: address, shippingOption: "standard" },
        payment: { method: "fake", token },
      })) as { order?: { id: string } },
    orders: async () => (await orders.listOrders({})).orders as { id: string }[],
    products: async () =>
      (await createClient(ProductService, transport).listProducts({ pageSize: 1 })).products.length,
  };
}

/** The same over REST. */
function overRest(options: ClientOptions): ReturnType<typeof overConnect> {
  const client = mallRest(options);
  return {
    async fillCart(variantId, quantity) {
      const { cart } = await answerOf(client.POST("/v1/carts", { body: {} }));
      const params = { path: { cartId: cart!.id } };
      await answerOf(client.POST("/v1/carts/{cartId}/items", { params, body: { variantId, quantity } }));
      return cart!.id;
    },
    buy: (cartId, token) => {
      const order = {
        cartId,
        email: "ada@example.com",
        shippingAddress: address,
        shippingOption: "standard",
      };
      return answerOf(
        client.POST("/v1/checkouts", { body: { ...order, payment: { method: "fake", token } } }),
      );
    },
    orders: async () => (await answerOf(client.GET("/v1/orders"))).orders,
    products: async () => {
      const query = { pageSize: 1 };
      return (await answerOf(client.GET("/v1/products", { params: { query } }))).products.length;
    },
  };
}

const surfaces = {
  "Connect with JSON": (options: ClientOptions) => overConnect(options, false),
  "Connect with binary": (options: ClientOptions) => overConnect(options, true),
  REST: overRest,
};

/** A fetch that remembers paths and keys, and loses the first answers to what `loses` says. */
function unreliable(loses: (path: string) => boolean = () => false) {
  const sent: { path: string; key: string | null; replayed: string | null }[] = [];
  const fetch = (async (input: Request | string, init?: RequestInit) => {
    const request = new Request(input, init);
    const { pathname: path } = new URL(request.url);
    const answer = await globalThis.fetch(request);
    const isFirst = !sent.some((other) => other.path === path);
    const { headers } = answer;
    const key = request.headers.get("idempotency-key");
    sent.push({ path, key, replayed: headers.get("idempotent-replayed") });
    if (isFirst && loses(path)) throw new TypeError("the answer was lost");
    return answer;
  }) as typeof globalThis.fetch;
  return { fetch, sent };
}

async function signedIn(fetch: typeof globalThis.fetch, accessToken?: string) {
  const user = await newUser();
  let ended = 0;
  const session = createSession({ url, fetch, onEnd: () => ended++ });
  await session.signIn({
    accessToken: accessToken ?? user.token,
    refreshToken: user.refreshToken,
    expiresIn: 900,
  });
  return { user, session, ended: () => ended };
}

const isPlacing = (path: string) => path.endsWith("/PlaceOrder") || path === "/v1/checkouts";
const isRefresh = (path: string) => path === "/v1/auth/refresh";

describe.each(Object.entries(surfaces))(`@mall/client over %s (${hostKind})`, (_, surface) => {
  test("buys once although the answer to the purchase is lost", async () => {
    const { fetch, sent } = unreliable(isPlacing);
    const { session } = await signedIn(fetch);
    const shop = surface({ url, session, fetch });
    const cartId = await shop.fillCart((await inStock()).id, 1);
    const { order } = await shop.buy(cartId, "tok_ok");
    const placed = sent.filter(({ path }) => isPlacing(path));
    expect(placed.map(({ replayed }) => replayed)).toEqual([null, "true"]);
    expect(placed[0]!.key).toBe(placed[1]!.key);
    expect((await shop.orders()).map(({ id }) => id)).toEqual([order!.id]);
  });

  test("tells a declined card by its reason, and buys with another one", async () => {
    const { fetch } = unreliable();
    const { session } = await signedIn(fetch);
    const shop = surface({ url, session, fetch });
    const cartId = await shop.fillCart((await inStock()).id, 1);
    const fault = await shop.buy(cartId, "tok_declined").catch((error) => faultOf<"PlaceOrder">(error));
    expect(fault).toMatchObject({ reason: "PAYMENT_DECLINED", isFinal: true, isPassing: false });
    expect(await shop.buy(cartId, "tok_ok")).toMatchObject({ order: {} });
  });

  test("tells what is wrong with the input", async () => {
    const shop = surface({ url });
    const fault = await shop.fillCart("var_wrong", 1).catch((error) => faultOf<"AddItem">(error));
    expect(fault).toMatchObject({ reason: "VALIDATION", isFinal: false });
    const { violations, requestId } = fault as Fault;
    expect(violations).toHaveLength(1);
    expect(requestId).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("renews a token that the mall refuses, once for all calls", async () => {
    const { fetch, sent } = unreliable();
    const { session } = await signedIn(fetch, "not.a.token");
    const shop = surface({ url, session, fetch });
    await Promise.all(Array.from({ length: 8 }, () => shop.orders()));
    expect(sent.filter(({ path }) => isRefresh(path))).toHaveLength(1);
    await session.signOut();
    await expect(shop.orders()).rejects.toThrow();
  });

  test("stays open to whom the session has ended elsewhere, until something is asked for in person", async () => {
    const { fetch } = unreliable();
    const { user, session, ended } = await signedIn(fetch);
    await rest("POST", "/v1/auth/logout", {}, user);
    const shop = surface({ url, session, fetch });
    // other instances hear of it within a second
    for (let tries = 0; tries < 40 && ended() === 0; tries++) {
      expect(await shop.products()).toBe(1);
      await Bun.sleep(50);
    }
    expect([ended(), await session.isSignedIn()]).toEqual([1, false]);
    const fault = await shop.orders().catch((error) => faultOf<"ListOrders">(error));
    expect(fault).toMatchObject({ reason: "UNAUTHENTICATED" });
  });
});

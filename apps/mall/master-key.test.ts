import { afterAll, beforeAll, expect, test } from "bun:test";
import { testDatabase } from "@mall/kernel/testing/database";
import { buildMall, type Mall } from "./mall";
import { seedDemo } from "./seed";

const former = "the master key that the mall began with: long enough";
const next = "the master key that takes the place of the former one";

let url: string;
let drop: () => Promise<void>;
const malls: Mall[] = [];

/** A mall that was started with these master keys. */
async function started(masterKey: string): Promise<Mall> {
  const mall = buildMall({
    ...{ MALL_ENV: "test", LOG_LEVEL: "silent", DATABASE_URL: url, MALL_MASTER_KEY: masterKey },
  });
  malls.push(mall);
  await Promise.all(mall.apps.map((app) => app.start()));
  return mall;
}

beforeAll(async () => {
  ({ url, drop } = await testDatabase());
});
afterAll(async () => {
  await Promise.all(malls.map((mall) => mall.close()));
  await drop();
});

interface Answer {
  user: { id: string; phone: string };
  tokens: { accessToken: string; refreshToken: string };
  products: { variants: { id: string; trackInventory: boolean }[] }[];
  cart: { id: string };
  cartSecret: string;
  order: { id: string; email: string };
  orderSecret: string;
}

/** Calls the gateway of a mall; the status must be this one. */
async function call(mall: Mall, status: number, method: string, path: string, body?: object, header = {}) {
  const headers = { "content-type": "application/json", "idempotency-key": crypto.randomUUID(), ...header };
  const request = new Request(`http://mall${path}`, { method, headers, body: body && JSON.stringify(body) });
  const response = await mall.gateway.fetch(request);
  const text = await response.text();
  expect({ path, status: response.status, text }).toMatchObject({ path, status });
  return JSON.parse(text) as Answer;
}

const credentials = { email: "ada@example.com", password: "correct horse battery staple" };
const bearer = ({ tokens }: Answer) => ({ authorization: `Bearer ${tokens.accessToken}` });

/** What somebody who registered and bought as a guest has in hand. */
async function livedWith(mall: Mall) {
  await seedDemo(mall);
  const user = await call(mall, 201, "POST", "/v1/auth/register", { ...credentials, displayName: "Ada" });
  await call(mall, 200, "PATCH", "/v1/me", { phone: "+15551234567" }, bearer(user));
  const { products } = await call(mall, 200, "GET", "/v1/products");
  const variant = products.flatMap(({ variants }) => variants).find(({ trackInventory }) => trackInventory)!;
  const { cart, cartSecret } = await call(mall, 201, "POST", "/v1/carts", {});
  const secret = { "x-cart-secret": cartSecret };
  await call(mall, 200, "POST", `/v1/carts/${cart.id}/items`, { variantId: variant.id, quantity: 1 }, secret);
  const placed = await call(
    ...([mall, 201, "POST", "/v1/checkouts"] as const),
    {
      ...{ cartId: cart.id, email: "guest@example.com", shippingOption: "standard" },
      shippingAddress: {
        name: "Eve",
        line1: "1 Way",
        city: "Austin",
        region: "TX",
        postalCode: "78701",
        country: "US",
      },
      payment: { method: "fake", token: "tok_ok" },
    },
    secret,
  );
  return { user, placed };
}

test("the master key changes without anything being lost: both, a rotation, then the new one alone", async () => {
  const before = await started(former);
  const { user, placed } = await livedWith(before);
  // as an operator does it: a process that knows the former key alone would go on sealing with it
  await before.close();
  const orderPath = `/v1/orders/${placed.order.id}`;
  const secret = { "x-order-secret": placed.orderSecret };

  const both = await started(`${next},${former}`);
  expect((await call(both, 200, "GET", "/v1/me", undefined, bearer(user))).user.phone).toBe("+15551234567");
  expect((await call(both, 200, "GET", orderPath, undefined, secret)).order.email).toBe("guest@example.com");
  const { refreshToken } = user.tokens;
  const refreshed = await call(both, 200, "POST", "/v1/auth/refresh", { refreshToken });
  const rotated = await Promise.all(both.apps.map(({ dataKeys }) => dataKeys.rotate()));
  // each service's own, the user's in two, the guest's order's
  expect(rotated.reduce((sum, keys) => sum + keys)).toBeGreaterThanOrEqual(both.apps.length + 2);

  await both.close();
  const alone = await started(next);
  const again = await call(alone, 200, "POST", "/v1/auth/login", credentials);
  expect((await call(alone, 200, "GET", "/v1/me", undefined, bearer(again))).user.phone).toBe("+15551234567");
  // signed by the same key, which was sealed anew
  await call(alone, 200, "GET", "/v1/me", undefined, bearer(user));
  // what was derived from the former key went with it, what the new one made stays
  await call(alone, 404, "GET", orderPath, undefined, secret);
  await call(alone, 200, "POST", "/v1/auth/refresh", { refreshToken: refreshed.tokens.refreshToken });
  await expect(started(former)).rejects.toThrow("MALL_MASTER_KEY is not the key");
});

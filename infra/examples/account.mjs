/*
 * A customer with an account buys over REST; plain Node 20 or newer, nothing installed:
 * node infra/examples/account.mjs [http://localhost:8080]
 */
import { randomUUID } from "node:crypto";

const mall = process.argv[2] ?? "http://localhost:8080";

/** Sends a request. Returns the answer's JSON; throws what the mall refuses with, by RFC 9457. */
async function call(method, path, { body, token, key } = {}) {
  const headers = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  if (key) headers["idempotency-key"] = key;
  const signal = AbortSignal.timeout(30_000);
  const response = await fetch(mall + path, { method, headers, body: body && JSON.stringify(body), signal });
  const answer = await response.json();
  if (response.ok) return answer;
  const problem = new Error(`${answer.status} ${answer.reason}: ${answer.detail}`);
  throw Object.assign(problem, { reason: answer.reason });
}

const email = `ada-${randomUUID()}@example.com`;
const password = randomUUID();
await call("POST", "/v1/auth/register", { body: { email, password, displayName: "Ada" } });
const { tokens } = await call("POST", "/v1/auth/login", { body: { email, password } });
const token = tokens.accessToken;

const { products } = await call("GET", "/v1/products?q=trail%20mug");
const variant = products.flatMap(({ variants }) => variants).find(({ available }) => available > 0);
const { cart } = await call("POST", "/v1/carts", { body: {}, token });
const line = { variantId: variant.id, quantity: 1 };
await call("POST", `/v1/carts/${cart.id}/items`, { body: line, token });

const region = { city: "Austin", region: "TX", postalCode: "78701", country: "US" };
const ask = {
  cartId: cart.id,
  email,
  shippingOption: "standard",
  shippingAddress: { name: "Ada", line1: "1 Way", ...region },
};
const payWith = (card) => ({
  token,
  key: randomUUID(),
  body: { ...ask, payment: { method: "fake", token: card } },
});
// a declined card charges nothing, and the cart can be bought with another one
const declined = await call("POST", "/v1/checkouts", payWith("tok_declined")).catch(({ reason }) => reason);
if (declined !== "PAYMENT_DECLINED") throw new Error(`should have been declined: ${declined}`);
const { order } = await call("POST", "/v1/checkouts", payWith("tok_ok"));

const { orders } = await call("GET", "/v1/orders", { token });
for (const { number, state, total } of orders.filter(({ id }) => id === order.id))
  console.log(`${number} ${state} ${total.minor} ${total.currency}`);

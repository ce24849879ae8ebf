import type { Random } from "../../random";
import type { Goods } from "../goods";
import { must } from "../proof";
import type { FrontDoor } from "./front-door";
import type { Deed, Send } from "./load";

/** Somebody with an account. */
interface Customer {
  email: string;
  password: string;
  token: string;
}

/** What the load's customers find and know. */
export interface Town {
  goods: readonly Goods[];
  productIds: readonly string[];
  customers: readonly Customer[];
  random: Random;
}

interface CartAnswer {
  cart: { id: string };
  cartSecret: string;
}

const password = "correct horse battery staple";
const customersCount = 10;

const post = async <T>(door: FrontDoor, path: string, body: unknown): Promise<T> => {
  const headers = { "content-type": "application/json" };
  const response = await door.send(path, { method: "POST", headers, body: JSON.stringify(body) });
  const text = await response.text();
  must(response.ok, () => `${path} answered ${response.status} ${text}`);
  return JSON.parse(text);
};

/** Registers the customers. */
export async function settle(door: FrontDoor, goods: readonly Goods[], random: Random): Promise<Town> {
  const customers: Customer[] = [];
  while (customers.length < customersCount) {
    const email = `platform-${random.uuid()}@example.com`;
    const { tokens } = await post<{ tokens: { accessToken: string } }>(door, "/v1/auth/register", {
      ...{ email, password, displayName: "Ada" },
    });
    customers.push({ email, password, token: tokens.accessToken });
  }
  const response = await door.send("/v1/products?pageSize=50", {});
  const { products } = (await response.json()) as { products: { id: string }[] };
  return { goods, productIds: products.map(({ id }) => id), customers, random };
}

const address = {
  ...{ name: "Ada Lovelace", line1: "1 Analytical Way", city: "Austin" },
  ...{ region: "TX", postalCode: "78701", country: "US" },
};

/** A cart with something in it, and the headers of who holds it. */
async function fill(send: Send, { goods, random }: Town) {
  const { cart, cartSecret } = await send<CartAnswer>("POST", "/v1/carts", { body: {}, expected: [201] });
  const headers = { "x-cart-secret": cartSecret };
  const line = { variantId: random.pick(goods).id, quantity: 1 };
  await send("POST", `/v1/carts/${cart.id}/items`, { headers, body: line });
  return { cart, headers };
}

interface CheckoutAnswer {
  checkout: { id: string; state: string };
}

/** An outcome that is not known is found out within half a minute. */
const outcomeAskedMax = 30;

async function buy(send: Send, town: Town): Promise<void> {
  const { cart, headers } = await fill(send, town);
  let { checkout } = await send<CheckoutAnswer>("POST", "/v1/checkouts", {
    headers: { ...headers, "idempotency-key": town.random.uuid() },
    body: {
      ...{ cartId: cart.id, email: "ada@example.com", shippingAddress: address, shippingOption: "standard" },
      payment: { method: "fake", token: "tok_ok" },
    },
    // 202: whether the card was charged is not known yet, and the customer asks until it is
    expected: [201, 202],
  });
  for (let asked = 0; checkout.state !== "CHECKOUT_STATE_COMPLETED"; asked++) {
    must(asked < outcomeAskedMax, () => `checkout ${checkout.id} has no end: ${checkout.state}`);
    await Bun.sleep(1_000);
    ({ checkout } = await send<CheckoutAnswer>("GET", `/v1/checkouts/${checkout.id}`, { headers }));
  }
}

/** Reads of the catalogue, which everybody may do. */
export function browsing({ productIds, random }: Town): Deed {
  const paths = () =>
    random.pick([
      "/v1/products?pageSize=5",
      `/v1/products/${random.pick(productIds)}`,
      "/v1/products?pageSize=10&sort=price",
    ]);
  return { name: "browse", share: 50, requests: 1, run: async (send) => void (await send("GET", paths())) };
}

/** A cart with one thing in it. */
export const carting = (town: Town): Deed => ({
  ...{ name: "cart", share: 20, requests: 2 },
  run: async (send) => void (await fill(send, town)),
});

/** Everything that customers do, so that every service has something to do. */
export function shopping(town: Town): readonly Deed[] {
  const { customers, random } = town;
  const asSomebody = (path: string) => async (send: Send) => {
    const { token } = random.pick(customers);
    await send("GET", path, { headers: { authorization: `Bearer ${token}` } });
  };
  return [
    browsing(town),
    carting(town),
    { name: "profile", share: 10, requests: 1, run: asSomebody("/v1/me") },
    { name: "orders", share: 10, requests: 1, run: asSomebody("/v1/orders") },
    { name: "buy", share: 6, requests: 3, run: (send) => buy(send, town) },
    {
      ...{ name: "sign in", share: 2, requests: 1 },
      async run(send) {
        const { email } = random.pick(customers);
        await send("POST", "/v1/auth/login", { body: { email, password } });
      },
    },
  ];
}

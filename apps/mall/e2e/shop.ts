import { type Id, type IdPrefix, idOf, uuidv7 } from "@mall/kernel/id";
import { host } from "./host";

type Json = Record<string, unknown>;

/** A REST answer, parsed. */
export interface Answer<T = Json> {
  status: number;
  headers: Headers;
  text: string;
  body: T;
}

export interface Options {
  token?: string;
  cartSecret?: string;
  orderSecret?: string;
  key?: string;
  headers?: Record<string, string>;
}

/** Calls the gateway's REST surface. A body that is a string goes out as it is. */
export async function rest<T = Json>(
  method: string,
  path: string,
  body?: unknown,
  options: Options = {},
): Promise<Answer<T>> {
  const headers = new Headers(options.headers);
  if (body !== undefined && !headers.has("content-type")) headers.set("content-type", "application/json");
  if (options.token) headers.set("authorization", `Bearer ${options.token}`);
  if (options.cartSecret) headers.set("x-cart-secret", options.cartSecret);
  if (options.orderSecret) headers.set("x-order-secret", options.orderSecret);
  if (options.key) headers.set("idempotency-key", options.key);
  const payload = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(`${(await host()).url}${path}`, {
    method,
    headers,
    body: payload as string | undefined,
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: (text ? JSON.parse(text) : {}) as T,
  };
}

/** Calls the same method over Connect with JSON. */
export const connect = <T = Json>(method: string, message: unknown, options: Options = {}) =>
  rest<T>("POST", `/${method}`, message, options);

export interface Money {
  currency: string;
  minor: string;
}
export interface Variant {
  id: string;
  sku: string;
  title: string;
  price: Money;
  trackInventory: boolean;
  available?: number;
}
export interface Product {
  id: string;
  handle: string;
  title: string;
  categories: { slug: string; title: string }[];
  variants: Variant[];
}
export interface Line {
  variantId: string;
  quantity: number;
  total: Money;
}
export interface Cart {
  id: string;
  state: string;
  items: Line[];
  subtotal: Money;
  version: number;
}
export interface Order {
  id: string;
  number: string;
  state: string;
  items: Line[];
  subtotal: Money;
  shippingTotal: Money;
  taxTotal: Money;
  discountTotal: Money;
  total: Money;
}
export interface Placed {
  checkout: { id: string; state: string; orderId: string };
  order: Order;
  orderSecret?: string;
}
export interface Problem {
  type: string;
  status: number;
  reason: string;
  detail: string;
  instance: string;
  metadata: Record<string, string>;
  errors: { pointer?: string; parameter?: string; detail: string }[];
}

export const newKey = (): string => crypto.randomUUID();

/** An id that nothing has, another one each time: some calls remember whom they were asked about. */
export const unknownId = <P extends IdPrefix>(prefix: P): Id<P> => idOf(prefix, uuidv7(Date.now()));

export const address = {
  name: "Ada Lovelace",
  line1: "1 Analytical Way",
  city: "Austin",
  region: "TX",
  postalCode: "78701",
  country: "US",
};

/** All published products. */
export async function allProducts(): Promise<Product[]> {
  const products: Product[] = [];
  for (let pageToken = ""; ; ) {
    const page = await rest<{ products: Product[]; nextPageToken: string }>(
      "GET",
      `/v1/products?pageSize=50&pageToken=${pageToken}`,
    );
    products.push(...page.body.products);
    pageToken = page.body.nextPageToken;
    if (pageToken === "") return products;
  }
}

/** A variant of the catalogue that fits now; other suites buy too. */
export async function aVariant(fits: (variant: Variant) => boolean): Promise<Variant> {
  const found = (await allProducts()).flatMap((product) => product.variants).find(fits);
  if (!found) throw new Error("the demo catalogue has no such variant");
  return found;
}

export const inStock = () => aVariant((variant) => variant.trackInventory && (variant.available ?? 0) > 50);

export interface Customer extends Options {
  cartId: string;
}

/** A guest with a cart that holds one line. */
export async function guestWith(variant: Variant, quantity = 1): Promise<Customer> {
  const made = await rest<{ cart: Cart; cartSecret: string }>("POST", "/v1/carts", {});
  const customer = { cartId: made.body.cart.id, cartSecret: made.body.cartSecret };
  await rest("POST", `/v1/carts/${customer.cartId}/items`, { variantId: variant.id, quantity }, customer);
  return customer;
}

/** A registered user. */
export async function newUser(): Promise<{
  token: string;
  id: string;
  email: string;
  password: string;
  refreshToken: string;
}> {
  const email = `user-${crypto.randomUUID()}@example.com`;
  const password = "correct horse battery staple";
  const made = await rest<{ user: { id: string }; tokens: { accessToken: string; refreshToken: string } }>(
    "POST",
    "/v1/auth/register",
    { email, password, displayName: "Ada" },
  );
  const { accessToken, refreshToken } = made.body.tokens;
  return { token: accessToken, id: made.body.user.id, email, password, refreshToken };
}

/** The body of a purchase. */
export const purchase = (cartId: string, token?: string, over: Json = {}) => ({
  cartId,
  email: "ada@example.com",
  shippingAddress: address,
  shippingOption: "standard",
  ...(token ? { payment: { method: "fake", token } } : {}),
  ...over,
});

/** Places an order for a customer's cart. */
export const placeOrder = <T = Placed>(customer: Customer, token = "tok_ok", options: Options = {}) =>
  rest<T>("POST", "/v1/checkouts", purchase(customer.cartId, token), {
    ...customer,
    key: newKey(),
    ...options,
  });

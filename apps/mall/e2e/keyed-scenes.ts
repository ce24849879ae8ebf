import type { JsonObject } from "@bufbuild/protobuf";
import { uuidOf } from "@mall/kernel/id";
import { newAdmin } from "./command";
import {
  type Cart,
  type Customer,
  guestWith,
  inStock,
  newKey,
  newUser,
  type Options,
  type Placed,
  type Product,
  placeOrder,
  purchase,
  rest,
  unknownId,
  type Variant,
} from "./shop";

/** A call of a method that asks for an Idempotency-Key. */
export interface Call {
  message: JsonObject;
  options: Options;
}

/** A call that succeeds once, in a world of its own. */
export interface Scene extends Call {
  /** The request with another content. */
  other: JsonObject;
  /** How often the call had its effect. */
  effects(): Promise<number>;
  /** SQL that, in an open transaction, holds what the call needs. */
  lock: string;
  /** Refusals that leave no trace: what is asked under the same key, and the reason. */
  forgotten: { message: JsonObject; reason: string }[];
}

/** A call that is refused with an answer to keep; `cure` takes the cause away. */
export interface Refusal extends Call {
  cure(): Promise<unknown>;
}

/** What the suite knows about a method that asks for a key. */
export interface Keyed {
  /** A new scene; `as` takes the place of the administrator where one calls. */
  scene(as?: Options): Promise<Scene>;
  /** Refusals that the key replays, by reason, with their REST status. */
  refusals: { reason: string; status: number; scene(): Promise<Refusal> }[];
}

const usd = (minor: number) => ({ currency: "USD", minor: String(minor) });
const uuid = (id: string) => `'${uuidOf(id)}'`;

let theAdmin: Promise<Options> | undefined;
let theOther: Promise<Options> | undefined;
const admin = () => {
  theAdmin ??= newAdmin();
  return theAdmin;
};

/** An administrator who is not the one that scenes have by themselves. */
export const anotherAdmin = () => {
  theOther ??= newAdmin();
  return theOther;
};

/** A variant that nobody else buys. */
async function ownVariant(quantity: number): Promise<Variant> {
  const name = `keyed-${crypto.randomUUID().slice(0, 13)}`;
  const csv = `Handle,Title,Type,Published,Variant SKU,Variant Inventory Tracker,Variant Inventory Qty,Variant Price
${name},Thing ${name},Things,true,${name},shopify,${quantity},12.50`;
  await rest("POST", "/v1/products/import", { csv }, await admin());
  const found = await rest<{ products: Product[] }>("GET", `/v1/products?q=${name}`);
  return found.body.products[0]!.variants[0]!;
}

const stockOf = async (variantId: string) =>
  (
    await rest<{ stock: { onHand: number; version: number } }>(
      "GET",
      `/v1/inventory/${variantId}`,
      undefined,
      await admin(),
    )
  ).body.stock;

const stockLock = (variantId: string) =>
  `select 1 from product.stock where variant_id = ${uuid(variantId)} for update`;

async function adjustScene(as?: Options): Promise<Scene> {
  const variantId = (await ownVariant(10)).id;
  const message = { variantId, delta: 3, note: "count" };
  return {
    ...{
      message,
      other: { ...message, delta: 4 },
      options: as ?? (await admin()),
      lock: stockLock(variantId),
    },
    effects: async () => ((await stockOf(variantId)).onHand - 10) / 3,
    forgotten: [
      { message: { ...message, delta: 0 }, reason: "VALIDATION" },
      { message: { ...message, variantId: unknownId("var") }, reason: "VARIANT_NOT_FOUND" },
      { message: { ...message, expectedVersion: 1000 }, reason: "VERSION_MISMATCH" },
    ],
  };
}

async function adjustTooMuch(): Promise<Refusal> {
  const variantId = (await ownVariant(2)).id;
  const options = await admin();
  const receive = () =>
    rest("POST", `/v1/inventory/${variantId}/receive`, { quantity: 9 }, { ...options, key: newKey() });
  return { message: { variantId, delta: -3, note: "lost" }, options, cure: receive };
}

async function receiveScene(as?: Options): Promise<Scene> {
  const variantId = (await ownVariant(10)).id;
  const message = { variantId, quantity: 5, note: "delivery" };
  return {
    ...{
      message,
      other: { ...message, note: "another" },
      options: as ?? (await admin()),
      lock: stockLock(variantId),
    },
    effects: async () => ((await stockOf(variantId)).onHand - 10) / 5,
    forgotten: [
      { message: { ...message, quantity: -5 }, reason: "VALIDATION" },
      { message: { ...message, variantId: unknownId("var") }, reason: "VARIANT_NOT_FOUND" },
    ],
  };
}

async function couponScene(as?: Options): Promise<Scene> {
  const code = `KEYED-${crypto.randomUUID().slice(0, 13).toUpperCase()}`;
  const message = { code, amount: usd(500), redemptionLimit: 3 };
  const options = as ?? (await admin());
  const taken = { ...message, code: `${code}-T` };
  await rest("POST", "/v1/coupons", taken, { ...options, key: newKey() });
  return {
    ...{ message, other: { ...message, redemptionLimit: 4 }, options },
    effects: async () =>
      (await rest("GET", `/v1/coupons/${code}`, undefined, options)).status === 200 ? 1 : 0,
    lock: `insert into cart.coupons (code, amount, currency, redemption_limit, created_at)
      values ('${code}', 1, 'USD', 1, now())`,
    forgotten: [
      { message: { ...message, redemptionLimit: 0 }, reason: "VALIDATION" },
      { message: taken, reason: "COUPON_CODE_TAKEN" },
    ],
  };
}

/** A signed-in customer with a cart that holds one unit. */
async function customerWith(variant: Variant): Promise<Customer> {
  const { token } = await newUser();
  const made = await rest<{ cart: Cart }>("POST", "/v1/carts", {}, { token });
  const cartId = made.body.cart.id;
  await rest("POST", `/v1/carts/${cartId}/items`, { variantId: variant.id, quantity: 1 }, { token });
  return { cartId, token };
}

const ordersOf = async ({ token }: Options) =>
  (await rest<{ orders: { state: string }[] }>("GET", "/v1/orders", undefined, { token })).body.orders;

async function placeScene(): Promise<Scene> {
  const customer = await customerWith(await inStock());
  const message = purchase(customer.cartId, "tok_ok") as JsonObject;
  return {
    ...{ message, other: { ...message, email: "other@example.com" }, options: { token: customer.token } },
    effects: async () =>
      (await ordersOf(customer)).filter(({ state }) => state === "ORDER_STATE_PAID").length,
    lock: `select 1 from cart.carts where id = ${uuid(customer.cartId)} for update`,
    forgotten: [
      { message: { ...message, email: "nobody" }, reason: "VALIDATION" },
      { message: { ...message, cartId: unknownId("cart") }, reason: "CART_NOT_FOUND" },
      { message: { ...message, shippingOption: "drone" }, reason: "VALIDATION" },
    ],
  };
}

async function placeDeclined(): Promise<Refusal> {
  const guest = await guestWith(await inStock());
  const message = purchase(guest.cartId, "tok_declined") as JsonObject;
  return { message, options: { cartSecret: guest.cartSecret }, cure: async () => {} };
}

async function placeSoldOut(): Promise<Refusal> {
  const variant = await ownVariant(0);
  const guest = await guestWith(variant);
  const message = purchase(guest.cartId, "tok_ok") as JsonObject;
  const options = { ...(await admin()), key: newKey() };
  const cure = () => rest("POST", `/v1/inventory/${variant.id}/receive`, { quantity: 9 }, options);
  return { message, options: { cartSecret: guest.cartSecret }, cure };
}

async function placeDearer(): Promise<Refusal> {
  const guest = await guestWith(await inStock());
  const message = purchase(guest.cartId, "tok_ok", { expectedTotal: usd(1) }) as JsonObject;
  return { message, options: { cartSecret: guest.cartSecret }, cure: async () => {} };
}

/** A checkout that waits for its payment, with who may pay it. */
async function waiting(): Promise<{ placed: Placed; options: Options }> {
  const guest = await guestWith(await inStock());
  const body = purchase(guest.cartId);
  const placed = await rest<Placed>("POST", "/v1/checkouts", body, { ...guest, key: newKey() });
  return { placed: placed.body, options: { orderSecret: placed.body.orderSecret! } };
}

const paymentsOf = async (orderId: string, options: Options) =>
  (
    await rest<{ payments: { id: string; state: string }[] }>(
      "GET",
      `/v1/orders/${orderId}/payments`,
      undefined,
      options,
    )
  ).body.payments;

const payMessage = (checkoutId: string, token: string) => ({
  checkoutId,
  payment: { method: "fake", token },
});

async function payScene(): Promise<Scene> {
  const { placed, options } = await waiting();
  const { id, orderId } = placed.checkout;
  return {
    ...{ message: payMessage(id, "tok_ok"), other: payMessage(id, "tok_other"), options },
    effects: async () =>
      (await paymentsOf(orderId, options)).filter(({ state }) => state === "PAYMENT_STATE_CAPTURED").length,
    lock: `select 1 from checkout.checkouts where id = ${uuid(id)} for update`,
    forgotten: [
      { message: payMessage(id, ""), reason: "VALIDATION" },
      { message: payMessage(unknownId("chk"), "tok_ok"), reason: "CHECKOUT_NOT_FOUND" },
    ],
  };
}

async function payDeclined(): Promise<Refusal> {
  const { placed, options } = await waiting();
  return { message: payMessage(placed.checkout.id, "tok_declined"), options, cure: async () => {} };
}

async function refundScene(as?: Options): Promise<Scene> {
  const guest = await guestWith(await inStock());
  const placed = await placeOrder(guest);
  const holder = { orderSecret: placed.body.orderSecret! };
  const [payment] = await paymentsOf(placed.body.order.id, holder);
  const paymentId = payment!.id;
  const options = as ?? (await admin());
  const message = { paymentId, amount: usd(100), reason: "damaged" };
  const read = () =>
    rest<{ payment: { refunds: object[] } }>("GET", `/v1/payments/${paymentId}`, undefined, options);
  return {
    ...{ message, other: { ...message, amount: usd(101) }, options },
    effects: async () => (await read()).body.payment.refunds.length,
    lock: `select 1 from payment.payments where id = ${uuid(paymentId)} for update`,
    forgotten: [
      { message: { ...message, amount: usd(0) }, reason: "VALIDATION" },
      { message: { ...message, paymentId: unknownId("pay") }, reason: "PAYMENT_NOT_FOUND" },
      { message: { ...message, amount: usd(100_000_000) }, reason: "REFUND_EXCEEDS_PAYMENT" },
    ],
  };
}

/** All methods that ask for a key, by name. */
export const keyed: Record<string, Keyed> = {
  AdjustStock: {
    scene: adjustScene,
    refusals: [{ reason: "OUT_OF_STOCK", status: 409, scene: adjustTooMuch }],
  },
  ReceiveStock: { scene: receiveScene, refusals: [] },
  CreateCoupon: { scene: couponScene, refusals: [] },
  PlaceOrder: {
    scene: placeScene,
    refusals: [
      { reason: "PAYMENT_DECLINED", status: 402, scene: placeDeclined },
      { reason: "OUT_OF_STOCK", status: 409, scene: placeSoldOut },
      { reason: "PRICE_CHANGED", status: 409, scene: placeDearer },
    ],
  },
  PayCheckout: {
    scene: payScene,
    refusals: [{ reason: "PAYMENT_DECLINED", status: 402, scene: payDeclined }],
  },
  CreateRefund: { scene: refundScene, refusals: [] },
};

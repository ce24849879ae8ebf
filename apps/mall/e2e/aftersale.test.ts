import { beforeAll, describe, expect, test } from "bun:test";
import { mall, newAdmin } from "./command";
import { host, hostKind } from "./host";
import {
  type Cart,
  guestWith,
  inStock,
  type Money,
  newKey,
  newUser,
  type Options,
  type Order,
  type Placed,
  type Problem,
  placeOrder,
  purchase,
  rest,
} from "./shop";

let admin: Options;
beforeAll(async () => {
  await host();
  admin = await newAdmin();
});

interface Payment {
  id: string;
  state: string;
  amount: Money;
  refunded: Money;
  refunds: { state: string; amount: Money }[];
}

const onHand = async (variantId: string) =>
  (
    await rest<{ stock: { onHand: number; available: number } }>(
      "GET",
      `/v1/inventory/${variantId}`,
      undefined,
      admin,
    )
  ).body.stock;

const orderOf = async (id: string, options: Options) =>
  (await rest<{ order: Order & { refundedTotal: Money } }>("GET", `/v1/orders/${id}`, undefined, options))
    .body.order;

/** Reads until it is so; the host's sweeps and events take a moment. */
async function until<T>(read: () => Promise<T>, isSo: (value: T) => boolean): Promise<T> {
  for (let tries = 0; ; tries++) {
    const value = await read();
    if (isSo(value) || tries > 200) return value;
    await Bun.sleep(100);
  }
}

const buyerOf = async (quantity = 1) => {
  const variant = await inStock();
  const guest = await guestWith(variant, quantity);
  const placed = await placeOrder(guest);
  return { variant, guest, order: placed.body.order, holder: { orderSecret: placed.body.orderSecret! } };
};

describe(`after the purchase (${hostKind})`, () => {
  test("a customer cancels a paid order: the units come back, the money too, and the timeline tells it", async () => {
    const variant = await inStock();
    const before = await onHand(variant.id);
    const { order, holder } = await buyerOf(2);
    expect((await onHand(variant.id)).onHand).toBe(before.onHand - 2);
    const cancelled = await rest<{ order: Order }>("POST", `/v1/orders/${order.id}/cancel`, {}, holder);
    expect([cancelled.status, cancelled.body.order.state]).toEqual([200, "ORDER_STATE_CANCELLED"]);
    await until(
      () => onHand(variant.id),
      (stock) => stock.onHand === before.onHand,
    );
    expect((await onHand(variant.id)).onHand).toBe(before.onHand);
    const back = await until(
      () => orderOf(order.id, holder),
      (found) => found.refundedTotal.minor === order.total.minor,
    );
    expect(back.refundedTotal).toEqual(order.total);
    const timeline = await rest<{ events: { kind: string }[] }>(
      "GET",
      `/v1/orders/${order.id}/events`,
      undefined,
      holder,
    );
    const kinds = timeline.body.events.map((event) => event.kind);
    expect(kinds).toEqual(expect.arrayContaining(["placed", "paid", "cancelled", "refunded"]));
    expect((await rest("POST", `/v1/orders/${order.id}/cancel`, {}, holder)).status).toBe(200);
  });

  test("staff refunds in parts, never more than was paid, and the order becomes REFUNDED with the last part", async () => {
    const { order, holder } = await buyerOf();
    const payments = await rest<{ payments: Payment[] }>(
      "GET",
      `/v1/orders/${order.id}/payments`,
      undefined,
      holder,
    );
    const { id, amount } = payments.body.payments[0]!;
    const refund = (minor?: bigint, key = newKey()) =>
      rest<Problem & { refund: { state: string; amount: Money } }>(
        "POST",
        `/v1/payments/${id}/refunds`,
        minor === undefined ? {} : { amount: { currency: amount.currency, minor: String(minor) } },
        { ...admin, key },
      );
    const key = newKey();
    const first = await refund(100n, key);
    expect([first.status, first.body.refund.state]).toEqual([201, "REFUND_STATE_SUCCEEDED"]);
    expect((await refund(100n, key)).text).toBe(first.text);
    const tooMuch = await refund(BigInt(amount.minor));
    expect([tooMuch.status, tooMuch.body.reason]).toEqual([409, "REFUND_EXCEEDS_PAYMENT"]);
    expect((await refund()).body.refund.amount.minor).toBe(String(BigInt(amount.minor) - 100n));
    const refunded = await until(
      () => orderOf(order.id, holder),
      (found) => found.state === "ORDER_STATE_REFUNDED",
    );
    expect([refunded.state, refunded.refundedTotal.minor]).toEqual(["ORDER_STATE_REFUNDED", amount.minor]);
    expect((await refund(1n)).status).toBe(409);
  });

  test("an order that waits is cancelled by its customer: its units are free and the cart opens again", async () => {
    const variant = await inStock();
    const guest = await guestWith(variant);
    const before = await onHand(variant.id);
    const placed = await rest<Placed>("POST", "/v1/checkouts", purchase(guest.cartId), {
      ...guest,
      key: newKey(),
    });
    expect((await onHand(variant.id)).available).toBe(before.available - 1);
    const holder = { orderSecret: placed.body.orderSecret! };
    expect((await rest("POST", `/v1/orders/${placed.body.order.id}/cancel`, {}, holder)).status).toBe(200);
    const cart = await until(
      async () =>
        (await rest<{ cart: Cart }>("GET", `/v1/carts/${guest.cartId}`, undefined, guest)).body.cart,
      (found) => found.state === "CART_STATE_OPEN",
    );
    expect(cart.state).toBe("CART_STATE_OPEN");
    expect((await onHand(variant.id)).available).toBe(before.available);
    expect((await placeOrder(guest)).status).toBe(201);
  });

  test("the books of stock and of payments agree with their ledgers", async () => {
    const stock = await mall("reconcile", "stock");
    expect([stock.exitCode, stock.text]).toEqual([0, expect.stringContaining("0 differences")]);
    const payments = await mall("reconcile", "payments");
    expect([payments.exitCode, payments.text]).toEqual([0, expect.stringContaining("0 differences")]);
  });
});

describe(`a coupon (${hostKind})`, () => {
  test("is created once, lowers quote and order alike, and is used up at its limit", async () => {
    const code = `T${crypto.randomUUID().slice(0, 8).toUpperCase()}`;
    const coupon = { code, amount: { currency: "USD", minor: "150" }, redemptionLimit: 1 };
    expect((await rest("POST", "/v1/coupons", coupon, { ...admin, key: newKey() })).status).toBe(201);
    const taken = await rest<Problem>("POST", "/v1/coupons", coupon, { ...admin, key: newKey() });
    expect([taken.status, taken.body.reason]).toEqual([409, "COUPON_CODE_TAKEN"]);
    const guests = [await guestWith(await inStock()), await guestWith(await inStock())];
    for (const guest of guests) {
      const applied = await rest<{ cart: { discountTotal: Money } }>(
        "PUT",
        `/v1/carts/${guest.cartId}/coupon`,
        { code: code.toLowerCase() },
        guest,
      );
      expect(applied.body.cart.discountTotal.minor).toBe("150");
    }
    const { shippingAddress } = purchase(guests[0]!.cartId);
    const quoted = await rest<{ quote: { total: Money; couponCode: string } }>(
      "POST",
      "/v1/checkouts/quote",
      { cartId: guests[0]!.cartId, shippingAddress },
      guests[0],
    );
    expect(quoted.body.quote.couponCode).toBe(code);
    const bought = await placeOrder(guests[0]!);
    expect([bought.body.order.discountTotal.minor, bought.body.order.total]).toEqual([
      "150",
      quoted.body.quote.total,
    ]);
    const late = await placeOrder<Problem>(guests[1]!);
    expect([late.status, late.body.reason]).toEqual([409, "COUPON_NOT_APPLICABLE"]);
    expect((await rest("DELETE", `/v1/carts/${guests[1]!.cartId}/coupon`, undefined, guests[1])).status).toBe(
      200,
    );
    expect((await placeOrder(guests[1]!)).status).toBe(201);
  });
});

describe(`signing in with a guest's cart (${hostKind})`, () => {
  test("merges it into the user's cart, once", async () => {
    const variant = await inStock();
    const guest = await guestWith(variant, 3);
    const user = await newUser();
    const mine = await rest<{ cart: Cart }>("POST", "/v1/carts", {}, user);
    await rest("POST", `/v1/carts/${mine.body.cart.id}/items`, { variantId: variant.id, quantity: 2 }, user);
    const claim = () =>
      rest<{ cart: Cart }>(
        "POST",
        `/v1/carts/${guest.cartId}/claim`,
        {},
        { ...user, cartSecret: guest.cartSecret },
      );
    for (const claimed of [await claim(), await claim()]) {
      expect([claimed.status, claimed.body.cart.id]).toEqual([200, mine.body.cart.id]);
      expect(claimed.body.cart.items.map((item) => item.quantity)).toEqual([5]);
    }
    const stranger = await newUser();
    const foreign = await rest<Problem>("POST", `/v1/carts/${guest.cartId}/claim`, {}, stranger);
    expect([foreign.status, foreign.body.reason]).toEqual([404, "CART_NOT_FOUND"]);
  });
});

import { beforeAll, describe, expect, test } from "bun:test";
import { host, hostKind } from "./host";
import {
  allProducts,
  aVariant,
  type Cart,
  guestWith,
  inStock,
  newKey,
  newUser,
  type Order,
  type Placed,
  type Problem,
  placeOrder,
  purchase,
  rest,
} from "./shop";

beforeAll(() => host());

const minor = (money: { minor: string }) => BigInt(money.minor);

describe(`the catalogue (${hostKind})`, () => {
  test("pages through every product once", async () => {
    const products = await allProducts();
    expect(products.length).toBeGreaterThanOrEqual(60);
    expect(new Set(products.map((p) => p.id)).size).toBe(products.length);
  });

  test("filters by category and by words, and reads one product", async () => {
    const [first] = await allProducts();
    const slug = first!.categories[0]!.slug;
    const filtered = await rest<{ products: { id: string; categories: { slug: string }[] }[] }>(
      "GET",
      `/v1/products?category=${slug}&pageSize=100`,
    );
    expect(filtered.body.products.length).toBeGreaterThan(0);
    expect(filtered.body.products.every((p) => p.categories.some((c) => c.slug === slug))).toBe(true);
    const word = first!.title.split(" ")[0]!.toUpperCase();
    const searched = await rest<{ products: { id: string }[] }>(
      "GET",
      `/v1/products?q=${encodeURIComponent(word)}&pageSize=100`,
    );
    expect(searched.body.products.map((p) => p.id)).toContain(first!.id);
    const one = await rest<{ product: { id: string; title: string } }>("GET", `/v1/products/${first!.id}`);
    expect(one.status).toBe(200);
    expect(one.body.product.title).toBe(first!.title);
  });
});

describe(`a purchase (${hostKind})`, () => {
  test("by a guest ends in a paid order that the secret opens", async () => {
    const variant = await inStock();
    const guest = await guestWith(variant, 2);
    const placed = await placeOrder(guest);
    expect(placed.status).toBe(201);
    const { order, checkout, orderSecret } = placed.body;
    expect(order.state).toBe("ORDER_STATE_PAID");
    expect(checkout.state).toBe("CHECKOUT_STATE_COMPLETED");
    expect(minor(order.subtotal)).toBe(minor(variant.price) * 2n);
    expect(minor(order.total)).toBe(
      minor(order.subtotal) - minor(order.discountTotal) + minor(order.shippingTotal) + minor(order.taxTotal),
    );
    const read = await rest<{ order: Order }>("GET", `/v1/orders/${order.id}`, undefined, { orderSecret });
    expect(read.body.order).toEqual(order);
    const cart = await rest<{ cart: Cart }>("GET", `/v1/carts/${guest.cartId}`, undefined, guest);
    expect(cart.body.cart.state).toBe("CART_STATE_CONVERTED");
    const late = await rest<Problem>(
      "POST",
      `/v1/carts/${guest.cartId}/items`,
      { variantId: variant.id, quantity: 1 },
      guest,
    );
    expect([late.status, late.body.reason]).toEqual([409, "CART_CONVERTED"]);
  });

  test("by a user ends in a paid order in the user's list, and the profile is there", async () => {
    const user = await newUser();
    const made = await rest<{ cart: Cart; cartSecret?: string }>("POST", "/v1/carts", {}, user);
    expect(made.status).toBe(201);
    expect(made.body.cartSecret).toBeUndefined();
    const again = await rest<{ cart: Cart }>("POST", "/v1/carts", {}, user);
    expect([again.status, again.body.cart.id]).toEqual([200, made.body.cart.id]);
    const cartId = made.body.cart.id;
    const variant = await inStock();
    await rest("POST", `/v1/carts/${cartId}/items`, { variantId: variant.id, quantity: 1 }, user);
    const placed = await placeOrder({ ...user, cartId });
    expect(placed.status).toBe(201);
    expect(placed.body.orderSecret).toBeUndefined();
    const list = await rest<{ orders: Order[] }>("GET", "/v1/orders", undefined, user);
    expect(list.body.orders.map((order) => order.id)).toEqual([placed.body.order.id]);
    const me = await rest<{ user: { id: string; email: string } }>("GET", "/v1/me", undefined, user);
    expect(me.body.user).toMatchObject({ id: user.id, email: user.email });
    const payments = await rest<{ payments: { state: string; amount: { minor: string } }[] }>(
      "GET",
      `/v1/orders/${placed.body.order.id}/payments`,
      undefined,
      user,
    );
    expect(payments.body.payments).toMatchObject([
      { state: "PAYMENT_STATE_CAPTURED", amount: placed.body.order.total },
    ]);
  });

  test("takes the units from stock exactly once", async () => {
    const before = await inStock();
    const product = (await allProducts()).find((p) => p.variants.some((v) => v.id === before.id))!;
    const read = async () => {
      const { body } = await rest<{ product: { variants: { id: string; available: number }[] } }>(
        "GET",
        `/v1/products/${product.id}`,
      );
      return body.product.variants.find((v) => v.id === before.id)!.available;
    };
    const start = await read();
    expect((await placeOrder(await guestWith(before, 3))).status).toBe(201);
    expect(await read()).toBe(start - 3);
  });

  test("later, with PayCheckout: a declined card first, then another one", async () => {
    const guest = await guestWith(await inStock());
    const placed = await rest<Placed>("POST", "/v1/checkouts", purchase(guest.cartId), {
      ...guest,
      key: newKey(),
    });
    expect(placed.status).toBe(201);
    expect(placed.body.checkout.state).toBe("CHECKOUT_STATE_AWAITING_PAYMENT");
    expect(placed.body.order.state).toBe("ORDER_STATE_PENDING_PAYMENT");
    const { orderSecret, checkout } = placed.body;
    const pay = (token: string) =>
      rest<Placed & Problem>(
        "POST",
        `/v1/checkouts/${checkout.id}/pay`,
        { payment: { method: "fake", token } },
        { orderSecret, key: newKey() },
      );
    const declined = await pay("tok_declined");
    expect([declined.status, declined.body.reason]).toEqual([402, "PAYMENT_DECLINED"]);
    const paid = await pay("tok_ok");
    expect([paid.status, paid.body.order.state]).toEqual([200, "ORDER_STATE_PAID"]);
    const twice = await pay("tok_ok");
    expect([twice.status, twice.body.reason]).toEqual([409, "CHECKOUT_STATE_INVALID"]);
  });

  test("whose card is declined charges nothing, frees the cart, and another card works", async () => {
    const guest = await guestWith(await inStock());
    const declined = await placeOrder<Problem>(guest, "tok_declined");
    expect([declined.status, declined.body.reason]).toEqual([402, "PAYMENT_DECLINED"]);
    expect(declined.headers.get("content-type")).toContain("application/problem+json");
    const cart = await rest<{ cart: Cart }>("GET", `/v1/carts/${guest.cartId}`, undefined, guest);
    expect([cart.body.cart.state, cart.body.cart.items.length]).toEqual(["CART_STATE_OPEN", 1]);
    expect((await placeOrder(guest)).status).toBe(201);
  });

  test("of a sold out variant is refused with the variant, and nothing changes", async () => {
    const gone = await aVariant((v) => v.trackInventory && v.available === 0);
    const guest = await guestWith(gone);
    const refused = await placeOrder<Problem>(guest);
    expect([refused.status, refused.body.reason]).toEqual([409, "OUT_OF_STOCK"]);
    expect(refused.body.metadata.variantId).toBe(gone.id);
    const cart = await rest<{ cart: Cart }>("GET", `/v1/carts/${guest.cartId}`, undefined, guest);
    expect(cart.body.cart.state).toBe("CART_STATE_OPEN");
  });

  test("of the last unit has one winner among many buyers", async () => {
    const last = await aVariant((v) => v.trackInventory && v.available === 1);
    const buyers = await Promise.all(Array.from({ length: 8 }, () => guestWith(last)));
    const answers = await Promise.all(buyers.map((buyer) => placeOrder<Placed & Problem>(buyer)));
    expect(answers.map((a) => a.status).toSorted()).toEqual([201, ...Array(7).fill(409)]);
    expect(answers.filter((a) => a.status === 409).every((a) => a.body.reason === "OUT_OF_STOCK")).toBe(true);
  });

  test("at another price than agreed is refused with both totals", async () => {
    const guest = await guestWith(await inStock());
    const body = purchase(guest.cartId, "tok_ok", { expectedTotal: { currency: "USD", minor: "1" } });
    const refused = await rest<Problem>("POST", "/v1/checkouts", body, { ...guest, key: newKey() });
    expect([refused.status, refused.body.reason]).toEqual([409, "PRICE_CHANGED"]);
    expect(refused.body.metadata.expectedTotal).toBe("1 USD");
    expect(refused.body.metadata.actualTotal).toMatch(/^[0-9]+ USD$/);
  });

  test("costs what the quote said", async () => {
    const guest = await guestWith(await inStock());
    const { email: _, ...ask } = purchase(guest.cartId);
    const quote = await rest<{ quote: { total: { currency: string; minor: string } } }>(
      "POST",
      "/v1/checkouts/quote",
      ask,
      guest,
    );
    expect(quote.status).toBe(200);
    const body = purchase(guest.cartId, "tok_ok", { expectedTotal: quote.body.quote.total });
    const placed = await rest<Placed>("POST", "/v1/checkouts", body, { ...guest, key: newKey() });
    expect([placed.status, placed.body.order.total]).toEqual([201, quote.body.quote.total]);
  });

  test("whose payment has an unknown outcome is accepted and ends paid, once", async () => {
    const guest = await guestWith(await inStock());
    const key = newKey();
    const accepted = await placeOrder(guest, "tok_lost", { key });
    expect(accepted.status).toBe(202);
    expect(accepted.headers.get("retry-after")).toBe("1");
    const { checkout, orderSecret } = accepted.body;
    const read = () => rest<Placed>("GET", `/v1/checkouts/${checkout.id}`, undefined, { orderSecret });
    let state = "";
    for (let tries = 0; tries < 60 && state !== "CHECKOUT_STATE_COMPLETED"; tries++) {
      await Bun.sleep(500);
      state = (await read()).body.checkout.state;
    }
    expect(state).toBe("CHECKOUT_STATE_COMPLETED");
    const replayed = await placeOrder(guest, "tok_lost", { key });
    expect([replayed.status, replayed.body.order.state]).toEqual([201, "ORDER_STATE_PAID"]);
    expect(replayed.headers.get("idempotent-replayed")).toBe("true");
  });

  test("whose payment never reached the provider ends undone, with the cart open", async () => {
    const guest = await guestWith(await inStock());
    const accepted = await placeOrder(guest, "tok_error");
    expect(accepted.status).toBe(202);
    let cart = "";
    for (let tries = 0; tries < 60 && cart !== "CART_STATE_OPEN"; tries++) {
      await Bun.sleep(500);
      cart = (await rest<{ cart: Cart }>("GET", `/v1/carts/${guest.cartId}`, undefined, guest)).body.cart
        .state;
    }
    expect(cart).toBe("CART_STATE_OPEN");
    expect((await placeOrder(guest)).status).toBe(201);
  });
});

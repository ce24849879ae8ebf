import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { CartService } from "@mall/gen/mall/cart/v1/cart_pb";
import { CheckoutService } from "@mall/gen/mall/checkout/v1/checkout_pb";
import { OrderService } from "@mall/gen/mall/order/v1/order_pb";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import type { MallApp } from "@mall/kernel/app";
import { type Db, openDb } from "@mall/kernel/db/client";
import { faultInfo } from "@mall/kernel/fault";
import { uuidOf } from "@mall/kernel/id";
import { rpcScope, serviceTokens } from "@mall/kernel/identity/service-token";
import { inProcessRegistry } from "@mall/kernel/registry/in-process";
import type { Registry } from "@mall/kernel/registry/port";
import { testDatabase } from "@mall/kernel/testing/database";
import { testClock } from "@mall/kernel/testing/harness";
import { type ServiceName, serviceNames } from "@mall/kernel/topology";
import { creators } from "./mall";

/** When a call of the checkout service goes wrong: before the neighbour did anything, or after it did. */
type Phase = "before" | "after";
/** The next call of this RPC is cut, or stands still until `until` resolves; `reached` resolves when it does. */
interface Plan {
  rpc: string;
  phase: Phase;
  until?: Promise<void>;
  reached?: () => void;
}
let plan: Plan | undefined;

async function meet({ phase, until, reached }: Plan): Promise<void> {
  reached?.();
  if (!until) throw new ConnectError(`cut ${phase}`, Code.Unavailable);
  await until;
}

/** The registry as the checkout service sees it: the planned call goes wrong once. */
function faulty(registry: Registry): Registry {
  const wrap = (base: Transport): Transport => ({
    stream: base.stream,
    async unary(method, signal, _timeoutMs, ...rest) {
      const met = plan?.rpc === method.name ? plan : undefined;
      if (met) plan = undefined;
      if (met?.phase === "before") await meet(met);
      // no time limit: a call that stands still is to arrive late, not never
      const answer = await base.unary(method, signal, undefined, ...rest);
      if (met?.phase === "after") await meet(met);
      return answer;
    },
  });
  return { fetch: registry.fetch, transport: (name) => wrap(registry.transport(name)) };
}

/** Plans that the next call of an RPC stands still; `reached` waits for it and `goOn` lets it go. */
function park(rpc: string, phase: Phase) {
  const gate = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  plan = { rpc, phase, until: gate.promise, reached: reached.resolve };
  return { reached: reached.promise, goOn: gate.resolve };
}

const masterKey = "test-master-key-test-master-key-0123456789";
const clock = testClock();
const dbs: Db[] = [];
const apps = new Map<ServiceName, MallApp>();
let superuser: Db;
let drop: () => Promise<void>;
let variantId: string;

function client<S extends DescService>(
  desc: S,
  name: ServiceName,
  headers: Record<string, string> = {},
): Client<S> {
  const base = apps.get(name)!.rpc.transport;
  return createClient(desc, {
    stream: base.stream,
    unary: (method, signal, timeoutMs, header, input) => {
      const merged = new Headers(header);
      for (const [key, value] of Object.entries(headers)) merged.set(key, value);
      return base.unary(method, signal, timeoutMs, merged, input);
    },
  });
}

beforeAll(async () => {
  const database = await testDatabase();
  drop = database.drop;
  superuser = openDb({ url: database.url, max: 1 });
  const registry = inProcessRegistry();
  for (const name of serviceNames) {
    const db = openDb({ url: database.url, role: `mall_${name}`, max: 3 });
    dbs.push(db);
    const env = { MALL_ENV: "test", MALL_MASTER_KEY: masterKey, LOG_LEVEL: "silent" };
    const seen = name === "checkout" || name === "order" ? faulty(registry) : registry;
    const app = creators[name]({ env, db, registry: seen, clock, background: () => {} });
    apps.set(name, app);
    registry.add(name, { fetch: app.fetch, transport: app.rpc.transport });
  }
  const token = await serviceTokens(masterKey, "mall", clock).tokenFor(
    "product",
    rpcScope(ProductService.method.importProducts),
  );
  const csv =
    "Handle,Title,Published,Variant SKU,Variant Inventory Tracker,Variant Inventory Qty,Variant Price\nmug,Mug,true,MUG,shopify,1000,12.00";
  const products = client(ProductService, "product", { "x-service-token": token });
  await products.importProducts({ csv });
  variantId = (await client(ProductService, "product", {}).listProducts({})).products[0]!.variants[0]!.id;
  const cartToken = await serviceTokens(masterKey, "mall", clock).tokenFor(
    "cart",
    rpcScope(CartService.method.createCoupon),
  );
  await client(CartService, "cart", {
    "x-service-token": cartToken,
    "idempotency-key": "welcome",
  }).createCoupon({ code: "WELCOME", amount: { currency: "USD", minor: 200n }, redemptionLimit: 1000 });
});

afterAll(async () => {
  await Promise.all([superuser, ...dbs].map((db) => db.close()));
  await drop();
});

const ask = {
  email: "ada@example.com",
  shippingAddress: {
    name: "Ada",
    line1: "1 Way",
    city: "Austin",
    region: "TX",
    postalCode: "78701",
    country: "US",
  },
  shippingOption: "standard",
};

/** A guest with one mug in the cart, and how it buys with one key. */
async function buyer(coupon?: string) {
  const { cart, cartSecret } = await client(CartService, "cart").createCart({});
  const headers = { "x-cart-secret": cartSecret!, "idempotency-key": crypto.randomUUID() };
  const cartId = cart!.id;
  await client(CartService, "cart", headers).addItem({ cartId, variantId, quantity: 1 });
  if (coupon) await client(CartService, "cart", headers).applyCoupon({ cartId, code: coupon });
  const buy = (token = "tok_ok") =>
    client(CheckoutService, "checkout", headers).placeOrder({
      ...ask,
      cartId,
      payment: { method: "fake", token },
    });
  const keyed = () =>
    client(CheckoutService, "checkout", { ...headers, "idempotency-key": crypto.randomUUID() });
  const place = () => keyed().placeOrder({ ...ask, cartId });
  const pay = (checkoutId: string, token = "tok_ok") =>
    keyed().payCheckout({ checkoutId, payment: { method: "fake", token } });
  const cancel = (orderId: string, orderSecret: string) =>
    client(OrderService, "order", { "x-order-secret": orderSecret }).cancelOrder({ orderId });
  return { cartId, buy, place, pay, cancel };
}

/** What a call ended with: its answer, or the reason of its fault. */
const outcomeOf = async <T>(run: Promise<T>): Promise<T | string> =>
  run.catch((error: unknown) => faultInfo(error)?.reason ?? String(error));

interface Ends {
  checkout: string | null;
  order: string | null;
  charge: string | null;
  hold: string | null;
  cart: string;
}

/** What every service says about the last checkout of a cart, read past them. */
async function ends(cartId: string): Promise<Ends> {
  const [row] = await superuser.sql.unsafe<Ends[]>(
    `select c.state as cart, k.state as checkout, o.state as order, f.state as charge, h.state as hold
      from cart.carts c
      left join lateral (select * from checkout.checkouts where cart_id = c.id order by id desc limit 1) k on true
      left join "order".orders o on o.id = k.order_id
      left join payment.payments p on p.id = k.payment_id
      left join payment.fake_charges f on f.key like 'pay_%' and p.id is not null and f.amount = p.amount and f.key = $2
      left join product.holds h on h.checkout_id = k.id
      where c.id = $1`,
    [uuidOf(cartId), await chargeKey(cartId)],
  );
  return { ...row! };
}

/** The provider's key of the last attempt for a cart. */
async function chargeKey(cartId: string): Promise<string> {
  const [row] = await superuser.sql.unsafe<{ id: string }[]>(
    "select payment_id as id from checkout.checkouts where cart_id = $1 order by id desc limit 1",
    [uuidOf(cartId)],
  );
  const { idOf } = await import("@mall/kernel/id");
  return row ? idOf("pay", row.id) : "";
}

/**
 * Lets time pass until nobody is left alone by the sweeper, more than once, since a sweep may itself meet the fault. While a
 * call stands still it is once: a service token lives 60 s.
 */
async function sweepLater(rounds = 3): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    // more than a lease
    clock.advance(16);
    await apps.get("order")!.sweep();
    await apps.get("payment")!.sweep();
    // two instances sweep at once
    await Promise.all([apps.get("checkout")!.sweep(), apps.get("checkout")!.sweep()]);
  }
}

const paid = { checkout: "COMPLETED", order: "PAID", charge: "captured", hold: "claimed", cart: "CONVERTED" };

/** Nothing is charged, held or locked. */
function expectUndone(state: Ends): void {
  expect([null, "FAILED"]).toContain(state.checkout);
  expect([null, "CANCELLED"]).toContain(state.order);
  expect([null, "voided", "refunded", "declined"]).toContain(state.charge);
  expect([null, "released", "expired"]).toContain(state.hold);
  expect(state.cart).toBe("OPEN");
}

const beforeMoney = ["LockCart", "BatchGetVariants", "ReserveStock", "CreateOrder"];
const afterMoney = ["MarkOrderPaid", "ClaimStock", "ConvertCart"];
const phases: Phase[] = ["before", "after"];
const cross = (rpcs: string[]) => rpcs.flatMap((rpc) => phases.map((phase) => [rpc, phase] as const));

describe("a purchase whose connection to a neighbour is cut", () => {
  test.each(cross(beforeMoney))(
    "at %s, %s it acted, is undone, and the same key buys afterwards",
    async (rpc, phase) => {
      const { cartId, buy } = await buyer();
      plan = { rpc, phase };
      const error = await buy().catch((e: unknown) => e);
      expect(faultInfo(error)?.reason).toBe("SERVICE_UNAVAILABLE");
      await sweepLater();
      expectUndone(await ends(cartId));
      await buy();
      expect(await ends(cartId)).toEqual(paid);
    },
  );

  test.each(cross(afterMoney))("at %s, %s it acted, is finished without the client", async (rpc, phase) => {
    const { cartId, buy } = await buyer();
    plan = { rpc, phase };
    const accepted = await buy();
    await sweepLater();
    expect(await ends(cartId)).toEqual(paid);
    const replayed = await buy();
    expect(replayed.order!.id).toBe(accepted.order!.id);
    expect(replayed.order!.paidAt).toBeDefined();
  });

  test.each(phases)("at AuthorizePayment, %s it acted, ends paid or undone, never between", async (phase) => {
    const { cartId, buy } = await buyer();
    plan = { rpc: "AuthorizePayment", phase };
    await buy();
    await sweepLater();
    const state = await ends(cartId);
    if (phase === "after") expect(state).toEqual(paid);
    else expectUndone(state);
  });

  test.each(cross(["VoidPayment", "AbandonOrder", "ReleaseStock", "ReleaseCoupon", "UnlockCart"]))(
    "while a declined one is undone at %s, %s it acted, is undone by the sweeper",
    async (rpc, phase) => {
      const { cartId, buy } = await buyer();
      plan = { rpc, phase };
      const error = await buy("tok_declined").catch((e: unknown) => e);
      expect(faultInfo(error)?.reason).toBe("PAYMENT_DECLINED");
      await sweepLater();
      expectUndone(await ends(cartId));
      const again = await buy("tok_declined").catch((e: unknown) => e);
      expect(faultInfo(again)?.reason).toBe("PAYMENT_DECLINED");
    },
  );
});

describe("an order that is not paid in time", () => {
  test("is cancelled, its units and its cart are free, and it can no longer be paid", async () => {
    const { cart, cartSecret } = await client(CartService, "cart").createCart({});
    const secret = { "x-cart-secret": cartSecret! };
    await client(CartService, "cart", secret).addItem({ cartId: cart!.id, variantId, quantity: 1 });
    const keyed = () =>
      client(CheckoutService, "checkout", { ...secret, "idempotency-key": crypto.randomUUID() });
    const { checkout } = await keyed().placeOrder({ ...ask, cartId: cart!.id });
    const pay = () =>
      keyed().payCheckout({ checkoutId: checkout!.id, payment: { method: "fake", token: "tok_ok" } });
    clock.advance(1800);
    const late = await pay().catch((e: unknown) => e);
    expect(faultInfo(late)?.reason).toBe("CHECKOUT_EXPIRED");
    await sweepLater();
    expectUndone(await ends(cart!.id));
    expect(faultInfo(await pay().catch((e: unknown) => e))?.reason).toBe("CHECKOUT_STATE_INVALID");
  });
});

const redeemed = async (): Promise<number> => {
  const [row] = await superuser.sql.unsafe("select redeemed from cart.coupons where code = 'WELCOME'");
  return row!.redeemed as number;
};

describe("a request that stands still until the sweeper took its checkout over", () => {
  const boundaries = ["LockCart", "RedeemCoupon", "ReserveStock", "CreateOrder", "AuthorizePayment"];
  test.each(cross(boundaries))("at %s, %s the neighbour acted, leaves nothing behind", async (rpc, phase) => {
    const before = await redeemed();
    const { cartId, buy } = await buyer("WELCOME");
    const { reached, goOn } = park(rpc, phase);
    const stuck = outcomeOf(buy());
    await reached;
    await sweepLater(1);
    const taken = await ends(cartId);
    goOn();
    const outcome = await stuck;
    await sweepLater();
    const state = await ends(cartId);
    if (rpc === "AuthorizePayment" && phase === "after") {
      expect(state).toEqual(paid);
      expect(await redeemed()).toBe(before + 1);
      return;
    }
    expectUndone(taken);
    expectUndone(state);
    expect(outcome).toBe(
      rpc === "RedeemCoupon" && phase === "before" ? "COUPON_NOT_APPLICABLE" : "CHECKOUT_INTERRUPTED",
    );
    expect(await redeemed()).toBe(before);
    await buy();
    expect(await ends(cartId)).toEqual(paid);
  });

  test.each(cross(afterMoney))("at %s, %s the neighbour acted, ends paid once", async (rpc, phase) => {
    const { cartId, buy } = await buyer("WELCOME");
    const { reached, goOn } = park(rpc, phase);
    const stuck = buy();
    await reached;
    await sweepLater(1);
    expect(await ends(cartId)).toEqual(paid);
    goOn();
    const { order } = await stuck;
    expect(order!.discountTotal!.minor).toBe(200n);
    expect(await ends(cartId)).toEqual(paid);
  });
});

describe("a coupon", () => {
  test("of a declined purchase can be used again, by the same cart", async () => {
    const before = await redeemed();
    const { buy, place, pay } = await buyer("WELCOME");
    expect(await outcomeOf(buy("tok_declined"))).toBe("PAYMENT_DECLINED");
    expect(await redeemed()).toBe(before);
    const { order, checkout } = await place();
    expect(order!.discountTotal!.minor).toBe(200n);
    expect(await redeemed()).toBe(before + 1);
    await pay(checkout!.id);
    expect(await redeemed()).toBe(before + 1);
  });
});

describe("an order that waits for its payment", () => {
  const waiting = async () => {
    const shopper = await buyer();
    const { checkout, order, orderSecret } = await shopper.place();
    const cancel = () => shopper.cancel(order!.id, orderSecret!);
    return { ...shopper, checkoutId: checkout!.id, cancel };
  };

  test("is cancelled by its customer, and the checkout is undone without another request", async () => {
    const { cartId, cancel, pay, checkoutId } = await waiting();
    await cancel();
    expect(["CHECKOUT_EXPIRED", "CHECKOUT_STATE_INVALID"]).toContain(
      String(await outcomeOf(pay(checkoutId))),
    );
    await sweepLater();
    expectUndone(await ends(cartId));
  });

  test("that nobody tries to pay is undone after its cancellation by the event alone", async () => {
    const { cartId, cancel } = await waiting();
    await cancel();
    await sweepLater();
    expectUndone(await ends(cartId));
  });

  test("cannot be cancelled while a payment runs, and a decline lets it wait again", async () => {
    const { cartId, cancel, pay, checkoutId } = await waiting();
    const { reached, goOn } = park("AuthorizePayment", "before");
    const paying = outcomeOf(pay(checkoutId, "tok_declined"));
    await reached;
    expect(await outcomeOf(cancel())).toBe("ORDER_PAYMENT_IN_PROGRESS");
    goOn();
    expect(await paying).toBe("PAYMENT_DECLINED");
    expect((await ends(cartId)).order).toBe("PENDING_PAYMENT");
    await pay(checkoutId);
    expect(await ends(cartId)).toEqual(paid);
  });

  test.each(cross(["BeginOrderPayment", "ExtendStock", "AuthorizePayment"]))(
    "whose payment is cut at %s, %s it acted, ends paid or waiting, and can be paid",
    async (rpc, phase) => {
      const { cartId, pay, checkoutId } = await waiting();
      plan = { rpc, phase };
      await outcomeOf(pay(checkoutId));
      await sweepLater();
      if ((await ends(cartId)).checkout !== "COMPLETED") await pay(checkoutId);
      expect(await ends(cartId)).toEqual(paid);
    },
  );

  test.each(["BeginOrderPayment", "ExtendStock"])(
    "waits on and can be cancelled when %s of a payment that was given up arrives late",
    async (rpc) => {
      const { cartId, pay, cancel, checkoutId } = await waiting();
      const { reached, goOn } = park(rpc, "before");
      const stuck = outcomeOf(pay(checkoutId));
      await reached;
      await sweepLater(1);
      goOn();
      expect(["CHECKOUT_IN_PROGRESS", "CHECKOUT_INTERRUPTED"]).toContain(String(await stuck));
      const [hold] = await superuser.sql.unsafe(
        "select h.expires_at from product.holds h join checkout.checkouts c on c.id = h.checkout_id where c.cart_id = $1",
        [uuidOf(cartId)],
      );
      expect(hold!.expires_at).not.toBeNull();
      await cancel();
      await sweepLater();
      expectUndone(await ends(cartId));
    },
  );

  test("is paid by a second card although the end of the first attempt arrives while that pays", async () => {
    const { cartId, pay, checkoutId } = await waiting();
    const ending = park("EndOrderPayment", "before");
    const declined = outcomeOf(pay(checkoutId, "tok_declined"));
    await ending.reached;
    await sweepLater(1);
    const paying = park("AuthorizePayment", "before");
    const second = pay(checkoutId);
    await paying.reached;
    ending.goOn();
    await declined;
    const [order] = await superuser.sql.unsafe(
      'select o.expires_at from "order".orders o join checkout.checkouts c on c.order_id = o.id where c.cart_id = $1',
      [uuidOf(cartId)],
    );
    expect(order!.expires_at).toBeNull();
    paying.goOn();
    await second;
    expect(await ends(cartId)).toEqual(paid);
  });

  test("is either cancelled or paid when both happen at once, and the money follows", async () => {
    const seen = new Set<string>();
    for (let trial = 0; trial < 20; trial++) {
      const { cartId, cancel, pay, checkoutId } = await waiting();
      await Promise.all([outcomeOf(pay(checkoutId)), outcomeOf(cancel())]);
      await sweepLater();
      const state = await ends(cartId);
      if (state.order === "PAID") expect(state).toEqual(paid);
      else if (state.cart === "OPEN") expectUndone(state);
      else {
        // paid first, cancelled then: the units are back and the money too
        expect(state).toMatchObject({ order: "CANCELLED", hold: "returned", cart: "CONVERTED" });
        expect(state.charge).toBe("refunded");
      }
      seen.add(`${state.order} ${state.cart}`);
    }
    expect(seen.size).toBeGreaterThan(0);
  });
});

describe("a paid order", () => {
  test.each(cross(["RestockStock", "VoidOrderPayments"]))(
    "that is cancelled gives its units and its money back, also when the neighbour is cut at %s, %s it acted",
    async (rpc, phase) => {
      const { cartId, buy, cancel } = await buyer();
      const { order, orderSecret } = await buy();
      plan = { rpc, phase };
      await cancel(order!.id, orderSecret!);
      await sweepLater();
      expect(await ends(cartId)).toMatchObject({ order: "CANCELLED", hold: "returned", charge: "refunded" });
      await cancel(order!.id, orderSecret!);
      expect(await ends(cartId)).toMatchObject({ order: "CANCELLED", hold: "returned", charge: "refunded" });
    },
  );
});

describe("an order that is paid and cancelled before its checkout has ended", () => {
  const cuts = cross(afterMoney).filter(([rpc, phase]) => rpc !== "MarkOrderPaid" || phase === "after");
  test.each(cuts)(
    "at %s, %s it acted, gives units and money back, and the checkout ends",
    async (rpc, phase) => {
      const { cartId, buy, cancel } = await buyer("WELCOME");
      plan = { rpc, phase };
      const { order, orderSecret } = await buy();
      await cancel(order!.id, orderSecret!);
      await sweepLater();
      const state = await ends(cartId);
      expect(state).toMatchObject({ checkout: "COMPLETED", order: "CANCELLED", charge: "refunded" });
      expect(["released", "returned"]).toContain(state.hold!);
      expect(state.cart).toBe("CONVERTED");
      const replayed = await buy();
      expect(replayed.order!.id).toBe(order!.id);
    },
  );
});

test("after all of it the stock identity holds", async () => {
  const [row] = await superuser.sql.unsafe(
    `select s.on_hand, s.reserved,
      (select sum(delta)::int from product.stock_movements m where m.variant_id = s.variant_id) as moved,
      (select count(*)::int from product.holds where state = 'claimed') as sold,
      (select count(*)::int from "order".orders where state = 'PAID') as paid,
      (select count(*)::int from payment.fake_charges where state = 'captured') as captured
      from product.stock s`,
  );
  expect(row!.reserved).toBe(0);
  expect(row!.on_hand).toBe(row!.moved);
  expect(row!.on_hand).toBe(1000 - row!.sold);
  expect([row!.paid, row!.captured]).toEqual([row!.sold, row!.sold]);
  const [live] = await superuser.sql.unsafe(
    "select redeemed, (select count(*)::int from cart.redemptions where state = 'redeemed') as live from cart.coupons",
  );
  expect(live!.redeemed).toBe(live!.live);
});

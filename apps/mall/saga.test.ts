import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { CartService } from "@mall/gen/mall/cart/v1/cart_pb";
import { CheckoutService } from "@mall/gen/mall/checkout/v1/checkout_pb";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import type { MallApp } from "@mall/kernel/app";
import { type Db, openDb } from "@mall/kernel/db/client";
import { faultInfo } from "@mall/kernel/fault";
import { uuidOf } from "@mall/kernel/id";
import { serviceTokens } from "@mall/kernel/identity/service-token";
import { inProcessRegistry } from "@mall/kernel/registry/in-process";
import type { Registry } from "@mall/kernel/registry/port";
import { testDatabase } from "@mall/kernel/testing/database";
import { testClock } from "@mall/kernel/testing/harness";
import { type ServiceName, serviceNames } from "@mall/kernel/topology";
import { creators } from "./mall";

setDefaultTimeout(60_000);

/** When a call of the checkout service goes wrong: before the neighbour did anything, or after it did. */
type Phase = "before" | "after";
let plan: { rpc: string; phase: Phase } | undefined;

/** The registry as the checkout service sees it: the planned call fails once. */
function faulty(registry: Registry): Registry {
  const wrap = (base: Transport): Transport => ({
    stream: base.stream,
    async unary(method, ...rest) {
      const phase = plan?.rpc === method.name ? plan.phase : undefined;
      if (phase) plan = undefined;
      if (phase === "before") throw new ConnectError("cut before", Code.Unavailable);
      const answer = await base.unary(method, ...rest);
      if (phase === "after") throw new ConnectError("cut after", Code.Unavailable);
      return answer;
    },
  });
  return { fetch: registry.fetch, transport: (name) => wrap(registry.transport(name)) };
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
    const seen = name === "checkout" ? faulty(registry) : registry;
    const app = creators[name]({ env, db, registry: seen, clock, background: () => {} });
    apps.set(name, app);
    registry.add(name, { fetch: app.fetch, transport: app.rpc.transport });
  }
  const token = await serviceTokens(masterKey, "mall", clock).tokenFor("product");
  const csv =
    "Handle,Title,Published,Variant SKU,Variant Inventory Tracker,Variant Inventory Qty,Variant Price\nmug,Mug,true,MUG,shopify,1000,12.00";
  const products = client(ProductService, "product", { "x-service-token": token });
  await products.importProducts({ csv });
  variantId = (await products.listProducts({})).products[0]!.variants[0]!.id;
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
async function buyer() {
  const { cart, cartSecret } = await client(CartService, "cart").createCart({});
  const headers = { "x-cart-secret": cartSecret!, "idempotency-key": crypto.randomUUID() };
  await client(CartService, "cart", headers).addItem({ cartId: cart!.id, variantId, quantity: 1 });
  const cartId = cart!.id;
  const buy = (token = "tok_ok") =>
    client(CheckoutService, "checkout", headers).placeOrder({
      ...ask,
      cartId,
      payment: { method: "fake", token },
    });
  return { cartId, buy };
}

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

/** Lets time pass until nobody is left alone by the sweeper, twice: a sweep may itself meet the fault. */
async function sweepLater(): Promise<void> {
  for (let round = 0; round < 3; round++) {
    clock.advance(25);
    await apps.get("checkout")!.sweep();
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

  test.each(cross(["VoidPayment", "CancelOrder", "ReleaseStock", "UnlockCart"]))(
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
});

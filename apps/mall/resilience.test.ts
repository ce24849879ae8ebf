import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { createGateway, type Gateway } from "@mall/gateway/service";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import type { MallApp } from "@mall/kernel/app";
import { localBus } from "@mall/kernel/bus/local";
import type { EventBus } from "@mall/kernel/bus/port";
import { type Db, openDb } from "@mall/kernel/db/client";
import { rpcScope, serviceTokens } from "@mall/kernel/identity/service-token";
import { processMetrics } from "@mall/kernel/metrics";
import { inProcessRegistry } from "@mall/kernel/registry/in-process";
import type { Registry } from "@mall/kernel/registry/port";
import { overloaded, unreachable } from "@mall/kernel/registry/unreachable";
import { testDatabase } from "@mall/kernel/testing/database";
import { type TcpProxy, tcpProxy } from "@mall/kernel/testing/proxy";
import { startTestRedisRest, type TestRedisRest } from "@mall/kernel/testing/redis-rest";
import { type ServiceName, serviceNames } from "@mall/kernel/topology";
import { creators } from "./mall";

/*
 * The published table of what works without what (infra/docs/resilience.md) is what this test expects: a whole mall
 * behind its gateway, from which one thing after the other is taken away.
 */

const page = await Bun.file(new URL("../../infra/docs/resilience.md", import.meta.url)).text();
const masterKey = "test-master-key-test-master-key-0123456789";
const cacheMs = 100;
const clock = () => new Date();

/** Services that nobody reaches, and whether the broker takes events. */
const away = new Set<string>();
/** Services that may have had a request whose answer never comes. */
const silent = new Set<ServiceName>();
/** Services that too many of this process wait for already. */
const busy = new Set<ServiceName>();
/** Services that are still at work when the caller's time is over, and how many calls ended so. */
const slow = new Set<ServiceName>();
let late = 0;
const metrics = processMetrics();
const dbs: Db[] = [];
const apps: MallApp[] = [];
let redis: TestRedisRest | undefined;
let wayToRedis: TcpProxy;
let wayToDatabase: TcpProxy;
let superuser: Db;
let drop: () => Promise<void>;
let env: Record<string, string>;
let gateway: Gateway;
/** Of the customer; another one in each row, since nobody may sign in so often. */
let address = "203.0.113.1";

const inner = inProcessRegistry();
const checked = (name: ServiceName) => {
  if (away.has(name) || silent.has(name)) throw unreachable(name, silent.has(name));
  if (busy.has(name)) throw overloaded(name);
};
const registry: Registry = {
  fetch: (name) => async (request, sending) => {
    checked(name);
    return inner.fetch(name)(request, sending);
  },
  transport: (name) => ({
    async unary(method, signal, timeoutMs, ...rest) {
      checked(name);
      if (!slow.has(name)) return inner.transport(name).unary(method, signal, timeoutMs, ...rest);
      await Bun.sleep(timeoutMs!);
      late++;
      throw new ConnectError("the operation timed out", Code.DeadlineExceeded);
    },
    stream: inner.transport(name).stream,
  }),
};

function busOf(name: ServiceName): EventBus {
  const bus = localBus(registry, serviceTokens(masterKey, name, clock));
  return {
    ...bus,
    publish: (deliveries) =>
      away.has("queue") ? Promise.reject(new Error("the broker is away")) : bus.publish(deliveries),
  };
}

const portOf = (url: string) => Number(new URL(url).port || 5432);

/** The URL of a database through the proxy. */
function through(url: string, port: number): string {
  const made = new URL(url);
  made.hostname = "127.0.0.1";
  made.port = String(port);
  return made.href;
}

async function importGoods(app: MallApp): Promise<void> {
  const token = await serviceTokens(masterKey, "mall", clock).tokenFor(
    "product",
    rpcScope(ProductService.method.importProducts),
  );
  const csv =
    "Handle,Title,Published,Variant SKU,Variant Inventory Tracker,Variant Inventory Qty,Variant Price\nmug,Mug,true,MUG,shopify,1000,12.00";
  const response = await app.fetch(
    new Request("http://product/mall.product.v1.ProductService/ImportProducts", {
      method: "POST",
      headers: { "content-type": "application/json", "x-service-token": token },
      body: JSON.stringify({ csv }),
    }),
  );
  expect(response.status).toBe(200);
}

beforeAll(async () => {
  const database = await testDatabase();
  drop = database.drop;
  superuser = openDb({ url: database.url, max: 1 });
  wayToDatabase = await tcpProxy(portOf(database.url));
  redis = await startTestRedisRest();
  if (!redis) console.warn("SKIPPED: redis-server is not installed, a Redis that goes away was not tried");
  wayToRedis = await tcpProxy(redis ? portOf(redis.env.UPSTASH_REDIS_REST_URL) : 1);
  env = {
    ...{ MALL_ENV: "test", MALL_MASTER_KEY: masterKey, LOG_LEVEL: "silent" },
    ...{ PUBLIC_CACHE_MS: String(cacheMs), RATE_LIMIT_PER_ADDRESS: "1000", OFFER_CACHE_MS: String(cacheMs) },
    UPSTASH_REDIS_REST_URL: `http://127.0.0.1:${wayToRedis.port}`,
    UPSTASH_REDIS_REST_TOKEN: redis?.env.UPSTASH_REDIS_REST_TOKEN ?? "none-but-long-enough",
  };
  for (const name of serviceNames) {
    const url = through(database.url, wayToDatabase.port);
    const db = openDb({ url, role: `mall_${name}`, max: 3 });
    dbs.push(db);
    const app = creators[name]({ env, db, registry, clock, background: () => {}, bus: busOf(name), metrics });
    apps.push(app);
    inner.add(name, { fetch: app.fetch, transport: app.rpc.transport });
  }
  await importGoods(apps[serviceNames.indexOf("product")]!);
  gateway = createGateway({ env, registry, metrics, docsAsset: async () => undefined });
  await prepare();
}, 60_000);

afterAll(async () => {
  await wayToDatabase.stop();
  await wayToRedis.stop();
  await Promise.all([superuser, ...dbs].map((db) => db.close()));
  await redis?.stop();
  await drop();
});

interface Answer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: bodies are looked at field by field
  body: any;
}

async function ask(verb: string, path: string, body?: unknown, more: Record<string, string> = {}) {
  const response = await gateway.fetch(
    new Request(`http://mall${path}`, {
      method: verb,
      headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...more },
      body: body === undefined ? undefined : JSON.stringify(body),
    }),
    address,
  );
  return { status: response.status, headers: response.headers, body: await response.json() } as Answer;
}

const person = { email: "ada@example.com", password: "correct horse battery staple 9" };
const shippingAddress = {
  ...{ name: "Ada", line1: "1 Way", city: "Austin" },
  ...{ region: "TX", postalCode: "78701", country: "US" },
};

/** What customers have from before something went away. */
const known = { variantId: "", token: "", orderId: "", orderSecret: "" };

interface Basket {
  cartId: string;
  secret: Record<string, string>;
}

async function emptyBasket(): Promise<Basket> {
  const { body } = await ask("POST", "/v1/carts", {});
  return { cartId: body.cart.id, secret: { "x-cart-secret": body.cartSecret } };
}

async function newBasket(): Promise<Basket> {
  const basket = await emptyBasket();
  expect((await add(basket)).status).toBe(200);
  return basket;
}

const add = ({ cartId, secret }: Basket) =>
  ask("POST", `/v1/carts/${cartId}/items`, { variantId: known.variantId, quantity: 1 }, secret);

const buy = ({ cartId, secret }: Basket, headers: Record<string, string> = {}) =>
  ask(
    "POST",
    "/v1/checkouts",
    {
      ...{ cartId, email: person.email, shippingAddress, shippingOption: "standard" },
      payment: { method: "fake", token: "tok_ok" },
    },
    { ...secret, ...headers, "idempotency-key": crypto.randomUUID() },
  );

async function prepare(): Promise<void> {
  known.variantId = (await ask("GET", "/v1/products")).body.products[0].variants[0].id;
  const registered = await ask("POST", "/v1/auth/register", { ...person, displayName: "Ada" });
  expect(registered.status).toBe(201);
  known.token = (await ask("POST", "/v1/auth/login", person)).body.tokens.accessToken;
  const placed = await buy(await newBasket());
  expect(placed.status).toBe(201);
  known.orderId = placed.body.order.id;
  known.orderSecret = placed.body.orderSecret;
}

/** What customers do, by the columns of the table. */
const deeds: Record<string, (basket: Basket) => Promise<Answer>> = {
  "Pages seen before": () => ask("GET", "/v1/products"),
  "Other pages": () => ask("GET", `/v1/products?q=${crypto.randomUUID()}`),
  "See a cart": ({ cartId, secret }) => ask("GET", `/v1/carts/${cartId}`, undefined, secret),
  "Fill a cart": add,
  Buy: buy,
  "See an order": () =>
    ask("GET", `/v1/orders/${known.orderId}`, undefined, { "x-order-secret": known.orderSecret }),
  "Sign in": () => ask("POST", "/v1/auth/login", person),
  "See one's account": () => ask("GET", "/v1/me", undefined, { authorization: `Bearer ${known.token}` }),
};

/** How an answer reads in the table; what is refused says when to come again. */
function verdictOf({ status, headers, body }: Answer): string {
  if (status < 300) return headers.get("cache-status")?.includes("stale-if-error") ? "old" : "yes";
  const isOutage = status === 503 && headers.has("retry-after");
  return isOutage ? "no" : `${status} ${JSON.stringify(body)}`;
}

/** What is taken away in each row, and given back. */
const losses: Record<string, { take(): void | Promise<void>; giveBack(): void | Promise<void> }> = {
  nothing: { take() {}, giveBack() {} },
  ...Object.fromEntries(
    [...serviceNames, "queue"].map((name) => [
      name,
      { take: () => void away.add(name), giveBack: () => void away.delete(name) },
    ]),
  ),
  "Redis, refusing": { take: () => wayToRedis.cut(), giveBack: () => wayToRedis.restore() },
  "Redis, hanging": { take: () => wayToRedis.hang(), giveBack: () => wayToRedis.restore() },
  database: { take: () => wayToDatabase.cut(), giveBack: () => wayToDatabase.restore() },
};

/** The published table: what is away, and the cell of each column. */
function published(): { columns: string[]; rows: [string, string[]][] } {
  const lines = page.split("\n").filter((line) => line.startsWith("|"));
  const [head, , ...rest] = lines.map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  return { columns: head!.slice(1), rows: rest.map(([what, ...cells]) => [what!, cells]) };
}
const table = published();

test("the table has a row for each loss that is tried, and a column for each deed", () => {
  expect(table.rows.map(([what]) => what).sort()).toEqual(Object.keys(losses).sort());
  expect(table.columns).toEqual(Object.keys(deeds));
});

describe("without", () => {
  for (const [row, [what, cells]] of table.rows.entries()) {
    test(`${what}, what the table says works`, async () => {
      gateway = createGateway({ env, registry, metrics, docsAsset: async () => undefined });
      address = `203.0.113.${row + 2}`;
      const basket = await newBasket();
      await ask("GET", "/v1/products");
      await Bun.sleep(cacheMs + 10);
      const { take, giveBack } = losses[what]!;
      await take();
      try {
        const seen: string[] = [];
        for (const column of table.columns) seen.push(verdictOf(await deeds[column]!(basket)));
        expect(Object.fromEntries(table.columns.map((column, i) => [column, seen[i]]))).toEqual(
          Object.fromEntries(table.columns.map((column, i) => [column, cells[i]])),
        );
      } finally {
        await giveBack();
      }
    });
  }
});

test("while the database hangs, who reads what is public has 504 when the time is over", async () => {
  gateway = createGateway({ env, registry, metrics, docsAsset: async () => undefined });
  address = "203.0.113.200";
  wayToDatabase.hang();
  try {
    const inTime = { "connect-timeout-ms": "700" };
    const read = await ask("GET", "/v1/products?q=never-seen", undefined, inTime);
    expect([read.status, read.body]).toMatchObject([504, { reason: "DEADLINE_EXCEEDED" }]);
  } finally {
    await wayToDatabase.restore();
  }
});

/** What is on hold, and for how many checkouts the mall has not made up its mind. */
async function open(): Promise<{ holds: number; checkouts: number }> {
  const [row] = await superuser.sql.unsafe<{ holds: number; checkouts: number }[]>(
    `select (select count(*)::int from product.holds where state = 'active') as holds,
      (select count(*)::int from checkout.checkouts where state not in ('COMPLETED', 'FAILED')) as checkouts`,
  );
  return { ...row! };
}

/** Sweeps until every checkout has ended. */
async function settled(): Promise<void> {
  for (const untilMs = Date.now() + 40_000; (await open()).checkouts > 0; await Bun.sleep(100)) {
    expect(Date.now()).toBeLessThan(untilMs);
    await apps[serviceNames.indexOf("checkout")]!.sweep();
  }
}

/** The value of a series; undefined when there is none. */
async function shown(name: string, labels: string): Promise<number | undefined> {
  const line = (await metrics.text()).split("\n").find((each) => each.startsWith(`${name}{${labels}} `));
  return line === undefined ? undefined : Number(line.split(" ").at(-1));
}

test("metrics tell what happened: answers by route, RPCs by code, reads of caches, breakers, the outbox", async () => {
  const counted = () =>
    shown("mall_http_requests_total", 'method="GET",route="/v1/products",service="gateway",status="200"');
  const before = (await counted()) ?? 0;
  await ask("GET", "/v1/products");
  await ask("GET", "/v1/products");
  expect(await counted()).toBe(before + 2);
  const basket = await newBasket();
  await deeds["See a cart"]!(basket);
  expect(
    await shown("mall_rpcs_total", 'code="ok",rpc="mall.cart.v1.CartService/GetCart",service="cart"'),
  ).toBeGreaterThan(0);
  for (const [cache, result, service] of [
    ["public", "hit", "gateway"],
    ["public", "miss", "gateway"],
    ["public", "stale", "gateway"],
    ["offers", "miss", "cart"],
  ])
    expect(
      await shown("mall_cache_reads_total", `cache="${cache}",result="${result}",service="${service}"`),
    ).toBeGreaterThan(0);
  for (const service of serviceNames) {
    expect(await shown("mall_breaker_open", `dependency="${service}",service="gateway"`)).toBe(0);
    expect(await shown("mall_outbox_waiting", `service="${service}"`)).toBeGreaterThanOrEqual(0);
  }
  expect(await metrics.text()).not.toContain(basket.cartId);
});

/** Baskets with something in them. */
const newBaskets = (count: number) => Promise.all(Array.from({ length: count }, newBasket));

/** Milliseconds after which payments that are away may be tried again. */
const pauseMs = 1_000;

/** 1 while checkout does not ask payments, else 0. */
const paymentsOpen = () => shown("mall_breaker_open", 'dependency="payment",service="checkout"');

describe("while payments", () => {
  let tests = 0;
  beforeEach(async () => {
    for (const told of [away, silent, busy, slow]) told.clear();
    // nobody may buy so often
    address = `198.51.100.${++tests}`;
    await settled();
  });

  test("are away, a purchase is undone at once, and its cart is bought when they are back", async () => {
    const basket = await newBasket();
    away.add("payment");
    const refused = await buy(basket);
    away.delete("payment");
    expect([refused.status, refused.body.reason]).toEqual([503, "SERVICE_UNAVAILABLE"]);
    expect(await open()).toEqual({ holds: 0, checkouts: 0 });
    expect((await buy(basket)).status).toBe(201);
  });

  test("do not answer, some purchases stay open, the next ones are refused with nothing reserved", async () => {
    const baskets = await newBaskets(8);
    silent.add("payment");
    const seen: number[] = [];
    for (const basket of baskets) seen.push((await buy(basket)).status);
    // the fifth failure in a row opens the breaker, and one a second tries
    expect(seen.slice(0, 6)).toEqual([202, 202, 202, 202, 202, 503]);
    expect(await paymentsOpen()).toBe(1);
    expect(await open()).toEqual({
      holds: seen.filter((status) => status === 202).length,
      checkouts: seen.filter((status) => status === 202).length,
    });
    silent.delete("payment");
    await settled();
    expect((await open()).holds).toBe(0);
    // those that were asked meanwhile have answered, so nobody is refused any more
    expect((await buy(await newBasket())).status).toBe(201);
  });

  test("were away, the one purchase a second that tries is one that comes to pay", async () => {
    const [first, second, third, ...five] = await newBaskets(8);
    const empty = await emptyBasket();
    const statusOf = async (basket: Basket) => (await buy(basket)).status;
    silent.add("payment");
    for (const basket of five) expect(await statusOf(basket)).toBe(202);
    await Bun.sleep(pauseMs);
    expect((await Promise.all([first!, second!].map(statusOf))).toSorted()).toEqual([202, 503]);
    silent.delete("payment");
    await Bun.sleep(pauseMs);
    expect([await paymentsOpen(), (await buy(empty)).body.reason]).toEqual([1, "CART_EMPTY"]);
    expect(await statusOf(third!)).toBe(201);
  });

  test("are slower than buyers with little patience, nobody else is refused", async () => {
    const baskets = await newBaskets(6);
    slow.add("payment");
    const hasty = { "connect-timeout-ms": "1500" };
    await Promise.all(baskets.map((basket) => buy(basket, hasty)));
    for (const untilMs = Date.now() + 5_000; late < 6 && Date.now() < untilMs; ) await Bun.sleep(20);
    slow.delete("payment");
    expect([late, await paymentsOpen()]).toEqual([6, 0]);
    expect((await buy(await newBasket())).status).toBe(201);
  });

  test("have too many waiting for them, a purchase is undone at once, and the next one is tried", async () => {
    busy.add("payment");
    for (const basket of await newBaskets(6)) {
      const { status, body } = await buy(basket);
      expect([status, body.reason]).toEqual([503, "OVERLOADED"]);
    }
    busy.delete("payment");
    expect([await open(), await paymentsOpen()]).toEqual([{ holds: 0, checkouts: 0 }, 0]);
  });
});

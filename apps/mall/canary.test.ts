import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { type Db, openDb } from "@mall/kernel/db/client";
import { migrate } from "@mall/kernel/db/migrate";
import { startEmbeddedPostgres } from "@mall/kernel/postgres/embedded";
import { type MailSink, mailSink } from "@mall/kernel/testing/mail-sink";
import { freePorts } from "@mall/kernel/testing/ports";
import { startTestRedisRest } from "@mall/kernel/testing/redis-rest";
import { serviceNames } from "@mall/kernel/topology";

/*
 * People use the mall on a server of its own; then everything that is left behind is searched for what they told it. A
 * control that is no secret must be found in the same places, or the search would prove nothing.
 */

const root = new URL("../..", import.meta.url).pathname;
const mark = crypto.randomUUID().replaceAll("-", "").slice(0, 12);
const digits = String(crypto.getRandomValues(new Uint32Array(1))[0]!).padStart(10, "7");

/** What people tell the mall, each with something in it that occurs nowhere else. */
const canaries = {
  "mail of an account": `account-${mark}`,
  "name of an account": `named-${mark}`,
  password: `password-${mark}`,
  phone: digits,
  "mail of an order": `buyer-${mark}`,
  "name of a buyer": `lovelace-${mark}`,
  street: `analytical-${mark}`,
  "mail wanted for an account": `wanted-${mark}`,
  "words of a cancellation": `moved-${mark}`,
  "reason of a refund": `scratched-${mark}`,
};
const control = `control-${mark}`;

let sink: MailSink;
let folder: string;
let logs = "";
let dump = "";
const files = new Map<string, Buffer>();

const address = {
  name: canaries["name of a buyer"],
  line1: `1 ${canaries.street} Way`,
  line2: `c/o ${canaries.street}`,
  ...{ city: "Austin", region: "TX", postalCode: "78701", country: "US" },
};

type Json = Record<string, never>;

/** Calls the gateway, again when it is too early; the status must be one of these. */
function caller(url: string) {
  const call = async (
    method: string,
    path: string,
    body: object,
    headers: object,
    ...expected: number[]
  ): Promise<Json> => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        "content-type": "application/json",
        "idempotency-key": crypto.randomUUID(),
        ...(headers as Record<string, string>),
      },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (response.status === 429 && !expected.includes(429)) {
      await Bun.sleep(1_000 * Number(response.headers.get("retry-after")));
      return call(method, path, body, headers, ...expected);
    }
    if (!expected.includes(response.status)) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return JSON.parse(text) as Json;
  };
  return call;
}
type Call = ReturnType<typeof caller>;

/** Buys a cup in the name of whoever these headers are, paying with a token. */
async function buy(call: Call, variantId: string, who: object, token: string, ...expected: number[]) {
  const { cart, cartSecret } = (await call("POST", "/v1/carts", {}, who, 200, 201)) as unknown as {
    cart: { id: string };
    cartSecret?: string;
  };
  const headers = { ...who, ...(cartSecret ? { "x-cart-secret": cartSecret } : {}) };
  await call("POST", `/v1/carts/${cart.id}/items`, { variantId, quantity: 1 }, headers, 200);
  const email = `${canaries["mail of an order"]}@example.com`;
  const quote = { cartId: cart.id, shippingAddress: address, shippingOption: "standard" };
  await call("POST", "/v1/checkouts/quote", quote, headers, 200);
  const order = { ...quote, email, payment: { method: "fake", token } };
  const keyed = { ...headers, "idempotency-key": crypto.randomUUID() };
  const placed = await call("POST", "/v1/checkouts", order, keyed, ...expected);
  await call("POST", "/v1/checkouts", order, keyed, ...expected, 409);
  return placed as unknown as { order: { id: string }; orderSecret: string };
}

interface SignedIn {
  tokens: { accessToken: string; refreshToken: string };
}

/** Registers, with a phone, and signs in. */
async function signUp(call: Call, name: string) {
  const password = `${canaries.password} correct horse`;
  const email = `${name}.${canaries["mail of an account"]}@example.com`;
  const displayName = canaries["name of an account"];
  await call("POST", "/v1/auth/register", { email, password, displayName }, {}, 201);
  await call("POST", "/v1/auth/register", { email, password, displayName }, {}, 409);
  await call("POST", "/v1/auth/login", { email, password: `${password}!` }, {}, 401);
  const { tokens } = (await call(
    "POST",
    "/v1/auth/login",
    { email, password },
    {},
    200,
  )) as unknown as SignedIn;
  return { who: { authorization: `Bearer ${tokens.accessToken}` }, tokens };
}

/** Waits up to a minute for something to become true. */
async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 60_000; !(await isTrue()); await Bun.sleep(100))
    if (Date.now() > end) throw new Error(`not within a minute: ${isTrue}`);
}

/** Registers somebody whose profile cannot be made, so that the news of it becomes a dead letter. */
async function unheard(call: Call, owner: Db): Promise<void> {
  await owner.sql.unsafe(`revoke insert on "user".profiles from mall_user`);
  const { who } = await signUp(call, "grace");
  await call("PATCH", "/v1/me", { phone: `+${digits}` }, who, 500);
  await until(async () => {
    const [dead] = await owner.sql.unsafe(
      "select count(*)::int as n from auth.outbox where dead_at is not null",
    );
    return dead!.n === 1;
  });
  await owner.sql.unsafe(`grant insert on "user".profiles to mall_user`);
}

/** Everything people do in the mall, what is refused included. */
async function live(call: Call, owner: Db): Promise<void> {
  const { stdout } = Bun.spawnSync(["bun", "apps/mall/cli.ts", "admin", "create", "boss@example.com"], {
    ...{ cwd: root, env: { ...process.env, ...environment } },
  });
  const password = /password (\S+)/.exec(stdout.toString())?.[1];
  const boss = (await call(
    ...(["POST", "/v1/auth/login", { email: "boss@example.com", password }, {}, 200] as const),
  )) as unknown as SignedIn;
  const admin = { authorization: `Bearer ${boss.tokens.accessToken}` };
  const csv = `Handle,Title,Published,Variant SKU,Variant Inventory Tracker,Variant Inventory Qty,Variant Price\ncup,${control},true,CUP,shopify,90,9.00`;
  await call("POST", "/v1/products/import", { csv }, admin, 200);
  const found = await fetch(`${environment.PUBLIC_URL}/v1/products`).then((response) => response.json());
  const [{ id: variantId }] = (found as { products: { variants: [{ id: string }] }[] }).products[0]!.variants;

  const { who, tokens } = await signUp(call, "ada");
  await call("PATCH", "/v1/me", { phone: `+${digits}` }, who, 200);
  await call("PATCH", "/v1/me", { phone: `0${digits} ext` }, who, 400);
  await call("PATCH", "/v1/me", { displayName: `Ada ${canaries["name of an account"]}` }, who, 200);
  await call("POST", "/v1/auth/refresh", { refreshToken: tokens.refreshToken }, {}, 200);
  await call("POST", "/v1/me/addresses", { address }, who, 201);
  await call("POST", "/v1/auth/email-verification", {}, who, 200);
  const wanted = `${canaries["mail wanted for an account"]}@example.com`;
  const given = `${canaries.password} correct horse`;
  await call("POST", "/v1/auth/email-change", { email: wanted, password: given }, who, 200);
  await until(() => sink.mails.length === 3);
  const bought = await buy(call, variantId, who, "tok_ok", 201);
  await buy(call, variantId, {}, "tok_declined", 402);
  await buy(call, variantId, {}, "tok_lost", 202, 201);
  const guest = await buy(call, variantId, {}, "tok_ok", 201);
  const words = { reason: `I ${canaries["words of a cancellation"]} to ${canaries.street}` };
  await call(
    "POST",
    `/v1/orders/${guest.order.id}/cancel`,
    words,
    { "x-order-secret": guest.orderSecret },
    200,
  );
  const wrong = { emial: canaries["mail of an order"], address: canaries.street };
  await call("POST", "/v1/checkouts", wrong, who, 400);
  const [payment] = await owner.sql.unsafe("select id from payment.payments where user_id is not null");
  const { idOf } = await import("@mall/kernel/id");
  const refund = { reason: canaries["reason of a refund"], amount: { currency: "USD", minor: "100" } };
  await call("POST", `/v1/payments/${idOf("pay", payment!.id as string)}/refunds`, refund, admin, 201);
  expect(bought.order.id).toStartWith("ord_");
  await unheard(call, owner);
}

/** All rows of all tables, as text, and what pg_dump makes of them where there is one for this server. */
async function dumped(owner: Db, url: string): Promise<string> {
  const tables = await owner.sql.unsafe(
    "select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname <> 'pg_catalog'",
  );
  const rows: string[] = [];
  for (const { name } of tables)
    for (const { row } of await owner.sql.unsafe(`select t::text as row from ${name} t`))
      rows.push(row as string);
  const dump = Bun.which("pg_dump") && Bun.spawnSync(["pg_dump", url]);
  return `${rows.join("\n")}\n${dump ? dump.stdout.toString() : ""}`;
}

let environment: Record<string, string>;
/** What Redis holds in the end, which all limits are counted in; undefined where it is not installed. */
let held: string | undefined;

beforeAll(async () => {
  const redis = await startTestRedisRest();
  if (!redis)
    console.warn("SKIPPED: redis-server is not installed, it was not searched; infra/install-debian.sh");
  sink = mailSink();
  folder = await mkdtemp(join(tmpdir(), "mall-canary-"));
  const server = await startEmbeddedPostgres({ dataDir: folder, fsync: false });
  await migrate(server.url, serviceNames);
  const [port, grpcPort] = (await freePorts(2)) as [number, number];
  environment = {
    ...{ MALL_ENV: "test", LOG_LEVEL: "debug", DATABASE_URL: server.url, EVENT_BACKOFF_MS: "1" },
    ...{ PORT: String(port), GRPC_PORT: String(grpcPort), PUBLIC_URL: `http://127.0.0.1:${port}` },
    SWEEP_INTERVAL_MS: "100",
    ...sink.env,
    // no limit but the strict ones is met, and each request counts
    ...(redis ? { ...redis.env, RATE_LIMIT_PER_ADDRESS: "100000" } : {}),
  };
  const mall = Bun.spawn(["bun", "apps/mall/start.ts"], {
    ...{ cwd: root, env: { ...process.env, ...environment }, stdout: "pipe", stderr: "pipe" },
  });
  const texts = Promise.all([new Response(mall.stdout).text(), new Response(mall.stderr).text()]);
  const owner = openDb({ url: server.url, max: 1 });
  try {
    const isReady = () =>
      fetch(`${environment.PUBLIC_URL}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      );
    while (mall.exitCode === null && !(await isReady())) await Bun.sleep(50);
    await live(caller(environment.PUBLIC_URL!), owner);
    await owner.sql.unsafe("checkpoint");
    dump = await dumped(owner, server.url);
    held = await redis?.dumped();
  } finally {
    await redis?.stop();
    await owner.close();
    mall.kill();
    logs = (await texts).join("\n");
    await server.stop();
  }
  for (const entry of await readdir(server.dataDir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) files.set(relative(server.dataDir, path), await readFile(path));
  }
});
afterAll(async () => {
  await sink.stop();
  await rm(folder, { recursive: true, force: true });
});

const filesWith = (text: string): string[] =>
  [...files].filter(([, bytes]) => bytes.includes(text)).map(([name]) => name);

describe("what people told the mall", () => {
  test("would be found where it is searched", () => {
    expect(filesWith(control).some((name) => name.includes("/base/"))).toBe(true);
    expect(filesWith(control).some((name) => name.includes("pg_wal"))).toBe(true);
    expect(dump).toContain(control);
    expect(logs).toContain("listening");
    expect(logs).toContain("permission denied");
    expect(dump).toContain("UserRegistered");
    if (held !== undefined) expect(held).toContain("mall:rate:login:");
  });

  test("codes that were sent by mail are nowhere", () => {
    const secrets = sink.mails.flatMap(({ text }) => /usr_\w+\.\d+\.([\w-]{43})/.exec(text)?.[1] ?? []);
    expect(secrets).toHaveLength(2);
    for (const secret of secrets) {
      expect(filesWith(secret)).toEqual([]);
      expect(dump + logs).not.toContain(secret);
    }
  });

  for (const [name, text] of Object.entries(canaries)) {
    test(`${name} is in no file of the database, neither table nor WAL nor log`, () => {
      expect(filesWith(text)).toEqual([]);
    });

    test(`${name} is in no row and no message`, () => {
      expect(dump.split("\n").filter((line) => line.includes(text))).toEqual([]);
    });

    test(`${name} is in no key and no value of Redis`, () => {
      expect(held ?? "").not.toContain(text);
    });

    test(`${name} is in no line of the logs`, () => {
      expect(logs.split("\n").filter((line) => line.includes(text))).toEqual([]);
    });
  }
});

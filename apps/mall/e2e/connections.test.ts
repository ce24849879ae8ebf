import { beforeAll, describe, expect, test } from "bun:test";
import { type Db, openDb } from "@mall/kernel/db/client";
import { host, hostKind } from "./host";
import { guestWith, inStock, newKey, placeOrder, purchase, rest } from "./shop";

/** What workerd lets one request hold open, less one for everything else. */
const atOnceMax = 5;

/** Looks at the Workers' connections again and again. Returns the most that one service had at once. */
function watched(db: Db): { most(): Promise<Record<string, number>> } {
  const most: Record<string, number> = {};
  let isOver = false;
  const looking = (async () => {
    for (; !isOver; await Bun.sleep(2)) {
      const rows = await db.sql`select application_name as name, count(*)::int as n from pg_stat_activity
        where datname = current_database() and application_name like 'mall-%-worker' group by 1`;
      for (const { name, n } of rows) most[name] = Math.max(most[name] ?? 0, n);
    }
  })();
  return {
    async most() {
      isOver = true;
      await looking;
      return most;
    },
  };
}

describe.skipIf(hostKind !== "edge")(`connections to the database (${hostKind})`, () => {
  let db: Db;
  beforeAll(async () => {
    db = openDb({ url: (await host()).databaseUrl, max: 1 });
  });

  test("are few for each request, and all are closed: after answers, refusals and callers that went away", async () => {
    const variant = await inStock();
    // the demo catalogue's events come to the cart, many at once and each as a request of its own
    const waiting = async () =>
      (await db.sql`select count(*)::int as n from product.outbox where due_at is not null`)[0]!.n as number;
    while ((await waiting()) > 0) await Bun.sleep(100);
    const watch = watched(db);
    // one after the other, so that what is counted is one request's, and at times that of the cron trigger beside it
    for (let n = 0; n < 3; n++) {
      const guest = await guestWith(variant);
      expect((await placeOrder(guest, "tok_declined")).status).toBe(402);
      expect((await placeOrder(guest)).status).toBe(201);
      expect((await rest("GET", "/v1/orders/ord_01jzzzzzzzzzzzzzzzzzzzzzzz")).status).toBe(404);
      await rest("POST", "/v1/auth/login", { email: "nobody@example.com", password: "wrong password" });
    }
    // auth serves seven requests at once at each run of the cron trigger: everybody asks for the policy
    const { "mall-auth-worker": _, ...most } = await watch.most();
    expect(Object.keys(most).length).toBeGreaterThan(4);
    for (const [name, n] of Object.entries(most)) expect([name, Math.min(n, atOnceMax)]).toEqual([name, n]);
    const { url } = await host();
    const gone = Array.from({ length: 10 }, async (_, n) => {
      const guest = await guestWith(variant);
      const headers = {
        ...{ "content-type": "application/json", "x-cart-secret": guest.cartSecret! },
        "idempotency-key": newKey(),
      };
      const body = JSON.stringify(purchase(guest.cartId, "tok_ok"));
      const signal = AbortSignal.timeout(10 * n + 5);
      return fetch(`${url}/v1/checkouts`, { method: "POST", headers, body, signal }).catch(() => "gone");
    });
    expect((await Promise.all(gone)).filter((answer) => answer === "gone").length).toBeGreaterThan(0);
    const old = async () => {
      const [row] =
        await db.sql`select count(*)::int as n from pg_stat_activity where datname = current_database()
        and application_name like 'mall-%-worker' and backend_start < now() - interval '15 s'`;
      return row!.n as number;
    };
    await Bun.sleep(16_000);
    for (let tries = 0; tries < 20 && (await old()) > 0; tries++) await Bun.sleep(500);
    expect(await old()).toBe(0);
    await db.close();
  });
});

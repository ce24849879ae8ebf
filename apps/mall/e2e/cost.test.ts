import { beforeAll, expect, test } from "bun:test";
import { openDb } from "@mall/kernel/db/client";
import { host, hostKind } from "./host";
import { guestWith, inStock, placeOrder } from "./shop";

beforeAll(() => host());

test.skipIf(hostKind === "edge")(`a checkout costs at most 12 write transactions (${hostKind})`, async () => {
  const db = openDb({ url: (await host()).databaseUrl, max: 1 });
  // transaction ids are given to transactions that write, so their distance counts commits of all services
  const next = async () =>
    Number((await db.sql`select pg_snapshot_xmax(pg_current_snapshot())::text as xid`)[0]!.xid);
  try {
    const guests = await Promise.all(Array.from({ length: 5 }, async () => guestWith(await inStock())));
    const costs: number[] = [];
    for (const guest of guests) {
      const before = await next();
      expect((await placeOrder(guest)).status).toBe(201);
      costs.push((await next()) - before);
    }
    // a sweep of another suite's leftovers may fall into one of them
    expect(Math.min(...costs)).toBeLessThanOrEqual(12);
    expect(Math.min(...costs)).toBeGreaterThan(5);
  } finally {
    await db.close();
  }
});

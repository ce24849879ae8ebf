import { beforeAll, expect, test } from "bun:test";
import { openDb } from "@mall/kernel/db/client";
import { serviceNames } from "@mall/kernel/topology";
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

test(`a purchase sends no event that anybody listens to (${hostKind})`, async () => {
  const db = openDb({ url: (await host()).databaseUrl, max: 1 });
  try {
    const placed = await placeOrder(await guestWith(await inStock()));
    const { id } = (placed.body as unknown as { order: { id: string } }).order;
    const events = await db.sql`select consumer from "order".outbox where subject = ${id}`;
    expect(events.length).toBeGreaterThan(0);
    const listeners = await Promise.all(
      serviceNames.map(
        (name) => db.sql`select type from ${db.sql(name)}.outbox where consumer is not null
        and (subject = ${id} or data::text like ${`%${id}%`})`,
      ),
    );
    expect(listeners.flat()).toEqual([]);
  } finally {
    await db.close();
  }
});

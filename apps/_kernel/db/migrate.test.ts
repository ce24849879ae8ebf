import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import postgres from "postgres";
import { emptyDatabase } from "../testing/database";
import { tcpProxy } from "../testing/proxy";
import { serviceNames } from "../topology";
import { migrate } from "./migrate";
import { pendingMigrations } from "./pending";

let database: Awaited<ReturnType<typeof emptyDatabase>>;
let sql: postgres.Sql;
beforeAll(async () => {
  database = await emptyDatabase();
  sql = postgres(database.url, { max: 1, onnotice: () => {} });
});
afterAll(async () => {
  await sql.end();
  await database.drop();
});

const pending = () => pendingMigrations(database.url, serviceNames);

describe("migrations", () => {
  test("are all pending on a new database, and none after several processes migrated it at once", async () => {
    const all = await pending();
    expect(new Set(all.map((name) => name.split("/")[0]))).toEqual(new Set(serviceNames));
    await Promise.all([1, 2, 3].map(() => migrate(database.url, serviceNames)));
    expect(await pending()).toEqual([]);
    const [applied] = await sql`select count(*)::int as n from migrations.product`;
    expect(applied!.n).toBe(all.filter((name) => name.startsWith("product/")).length);
  });

  test("wait for another process that migrates", async () => {
    const other = postgres(database.url, { max: 1, onnotice: () => {} });
    await other`select pg_advisory_lock(7134001)`;
    const migrated = migrate(database.url, serviceNames).then(() => "migrated");
    expect(await Promise.race([migrated, Bun.sleep(500).then(() => "waits")])).toBe("waits");
    await other.end();
    expect(await migrated).toBe("migrated");
  });

  test("are not waited for long where the database hangs", async () => {
    const proxy = await tcpProxy(Number(new URL(database.url).port));
    const hanging = new URL(database.url);
    hanging.port = String(proxy.port);
    proxy.hang();
    try {
      const asked = pendingMigrations(hanging.href, serviceNames, 200).catch((error: Error) => error.message);
      expect(await Promise.race([asked, Bun.sleep(5_000)])).toContain("the database took longer than 200 ms");
    } finally {
      await proxy.stop();
    }
  });

  test("are named when some are missing", async () => {
    await sql`delete from migrations.cart where id = (select max(id) from migrations.cart)`;
    const [missing, ...more] = await pending();
    expect(more).toEqual([]);
    expect(missing).toMatch(/^cart\/\d{4}_\w+$/);
  });
});

import { expect, test } from "bun:test";
import { createConnection, createServer, type Socket } from "node:net";
import { sql } from "drizzle-orm";
import { faultInfo } from "../fault";
import { testDatabase } from "../testing/database";
import { databaseCode, databaseFault, openDb } from "./client";

/** A database behind connections that can be cut. */
async function cuttable(url: string) {
  const sockets = new Set<Socket>();
  const { hostname, port } = new URL(url);
  const server = createServer((front) => {
    const back = createConnection({ host: hostname, port: Number(port || 5432) });
    for (const [socket, other] of [
      [front, back],
      [back, front],
    ] as const) {
      sockets.add(socket);
      socket.pipe(other);
      socket.on("error", () => {});
      socket.on("close", () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const behind = new URL(url);
  behind.host = `127.0.0.1:${(server.address() as { port: number }).port}`;
  return {
    url: behind.href,
    cut() {
      for (const socket of sockets) socket.destroy();
      sockets.clear();
    },
    close: () => server.close(),
  };
}

test("transactions whose connection is cut reject, and the process and its pool go on", async () => {
  const database = await testDatabase();
  const cable = await cuttable(database.url);
  const db = openDb({ url: cable.url });
  try {
    for (let round = 0; round < 5; round++) {
      const running = Array.from({ length: 8 }, (_, i) =>
        db
          .tx(async (tx) => {
            await tx.orm.execute(sql`select 1`);
            await tx.orm.execute(sql`select pg_sleep(${0.05 * (i + 1)})`);
            await tx.orm.execute(sql`select 2`);
          })
          .then(() => "committed", databaseCode),
      );
      await Bun.sleep(100);
      cable.cut();
      const ended = await Promise.all(running);
      expect(ended).toContain("CONNECTION_CLOSED");
      // what the driver does late would come now
      await Bun.sleep(50);
      const rows = await db.tx((tx) => tx.orm.execute<{ n: number }>(sql`select 3 as n`));
      expect(rows[0]?.n).toBe(3);
    }
  } finally {
    await db.close();
    cable.close();
    await database.drop();
  }
});

test.each([99, 100, 101, 201])(
  "a transaction behind %i statements of one connection is a transaction",
  async (n) => {
    const database = await testDatabase();
    const db = openDb({ url: database.url, max: 2 });
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    try {
      await db.sql.unsafe("create table public.notes (n int)");
      // one connection is taken, so that everything else stands behind each other on the second one
      const holding = db.tx(async (tx) => {
        await tx.sql.unsafe("select 1");
        await held;
      });
      await Bun.sleep(50);
      await db.sql.unsafe("select 1");
      const statements = Array.from({ length: n }, () => db.sql.unsafe("select pg_sleep(0.002)").execute());
      await new Promise(setImmediate);
      const rolledBack = db.tx(async (tx) => {
        await tx.sql.unsafe("insert into public.notes values (1)");
        throw new Error("rolled back");
      });
      const stored = db.sql.unsafe("insert into public.notes values (2)").execute();
      expect(await rolledBack.catch((error: Error) => error.message)).toBe("rolled back");
      await Promise.all([...statements, stored]);
      letGo();
      await holding;
      const other = openDb({ url: database.url, max: 1 });
      const rows = await other.sql.unsafe("select n from public.notes");
      await other.close();
      expect(rows.map(({ n }) => n)).toEqual([2]);
    } finally {
      letGo();
      await db.close();
      await database.drop();
    }
  },
  60_000,
);

test("a database that cannot be reached is told as such, whatever the driver calls it", () => {
  const codes = ["CONNECTION_CLOSED", "ECONNREFUSED", "ECONNRESET", "EPIPE", "57P01", "57P02", "57P03"];
  for (const code of codes) {
    const told = databaseFault(Object.assign(new Error("lost"), { code }));
    expect(faultInfo(told)?.reason).toBe("DATABASE_UNAVAILABLE");
  }
  const other = Object.assign(new Error("a bug"), { code: "42601" });
  expect(databaseFault(other)).toBe(other);
});

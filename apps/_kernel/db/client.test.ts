import { expect, test } from "bun:test";
import { createConnection, createServer, type Socket } from "node:net";
import { sql } from "drizzle-orm";
import { testDatabase } from "../testing/database";
import { databaseCode, openDb } from "./client";

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
}, 60_000);

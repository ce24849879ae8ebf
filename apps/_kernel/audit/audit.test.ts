import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { Db } from "../db/client";
import { currentRequest, type RequestContext } from "../rpc/context";
import { type AuditWorld, auditWorld } from "../testing/audit";

let world: AuditWorld;
beforeAll(async () => {
  world = await auditWorld();
});
beforeEach(() => world.clear());
afterAll(() => world.stop());

const request = (over: Partial<RequestContext> = {}): RequestContext => ({
  actor: {},
  client: { address: "192.0.2.7", device: "Lynx" },
  requestId: crypto.randomUUID(),
  ...over,
});

describe("an event", () => {
  test("tells who did what to what, from where, in which request", async () => {
    const user = { id: "usr_1", roles: [], sessionId: "ses_1", tokenVersion: 1 } as const;
    const asked = request({ actor: { user, service: "checkout" } });
    const entry = { action: "Refund", subject: "pay_1", metadata: { amountMinor: 12 } };
    await currentRequest.run(asked, () => world.db.tx((tx) => world.auditOn(world.db).record(tx, entry)));
    expect(await world.list()).toEqual([
      {
        id: expect.any(String),
        at: world.clock().toISOString(),
        ...{ action: "Refund", outcome: "ok", reason: undefined, subject: "pay_1" },
        actor: { kind: "user", id: "usr_1" },
        requestId: asked.requestId,
        clientAddress: "192.0.2.7",
        metadata: { amountMinor: 12 },
        sequence: undefined,
      },
    ]);
  });

  test("of a guest, a neighbour, the command line and a sweep each names its kind of actor", async () => {
    const write = () => world.db.tx((tx) => world.auditOn(world.db).record(tx, { action: "Test" }));
    for (const actor of [{ cartSecret: "s" }, { service: "cart" }, { service: "mall" }] as const) {
      await currentRequest.run(request({ actor }), write);
      world.clock.advance(1);
    }
    await write();
    expect((await world.list()).map(({ actor }) => `${actor.kind} ${actor.id}`).reverse()).toEqual([
      "guest undefined",
      "service cart",
      "command undefined",
      "service auth",
    ]);
  });

  test("is there with its effect, or not at all", async () => {
    const failing = world.db.tx(async (tx) => {
      await world.auditOn(world.db).record(tx, { action: "Test" });
      throw new Error("no effect");
    });
    await expect(failing).rejects.toThrow("no effect");
    expect(await world.list()).toEqual([]);
    expect((await world.verify()).pending).toBe(0);
  });

  test("keeps no address in clear, and one that was moved to another event does not open", async () => {
    await currentRequest.run(request(), () => world.written("a", "b"));
    const rows = await world.owner.sql<{ row: string; address: Buffer }[]>`
      select e::text as row, client_address as address from auth.audit_events e`;
    for (const { row, address } of rows) {
      expect(row + address.toString("latin1")).not.toContain("192.0.2.7");
    }
    await world.owner.sql`update auth.audit_events set client_address = ${rows[0]!.address}`;
    expect(new Set((await world.list()).map((e) => e.clientAddress))).toEqual(
      new Set(["192.0.2.7", "unreadable"]),
    );
  });

  test("can be neither changed nor deleted by the service", async () => {
    await world.written("a");
    await world.seal();
    for (const table of ["audit_events", "audit_seals", "audit_heads"]) {
      const [column] = await world.owner.sql.unsafe(
        `select column_name as name from information_schema.columns where table_schema = 'auth' and table_name = '${table}'`,
      );
      for (const statement of [
        `update auth.${table} set ${column!.name} = ${column!.name}`,
        `delete from auth.${table}`,
        `truncate auth.${table}`,
      ])
        await expect(world.db.sql.unsafe(statement)).rejects.toThrow("permission denied");
    }
  });
});

describe("a refusal", () => {
  test("is written down beside the transaction that it rolls back", async () => {
    await world
      .auditOn(world.db)
      .refused({ action: "Login", reason: "INVALID_CREDENTIALS", subject: "usr_1" });
    const [event] = await world.list({ outcome: "refused" });
    expect([event?.action, event?.outcome, event?.reason]).toEqual([
      "Login",
      "refused",
      "INVALID_CREDENTIALS",
    ]);
  });

  test("is answered within about a second although the log cannot be written", async () => {
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    const { promise: locked, resolve: isLocked } = Promise.withResolvers<void>();
    const holding = world.owner.tx(async (tx) => {
      await tx.sql.unsafe("lock table auth.audit_events in access exclusive mode");
      isLocked();
      await held;
    });
    await locked;
    const startedMs = performance.now();
    await world.auditOn(world.db).refused({ action: "Login", reason: "INVALID_CREDENTIALS" });
    expect(performance.now() - startedMs).toBeWithin(900, 3000);
    letGo();
    await holding;
    for (const until = Date.now() + 5000; (await world.list()).length === 0 && Date.now() < until; )
      await Bun.sleep(20);
    expect(await world.list()).toHaveLength(1);
  });

  test("that cannot be written at all is logged, and nobody waits for a thousand of them", async () => {
    const away = { tx: () => new Promise(() => {}) } as unknown as Db;
    const audit = world.auditOn(away);
    let isFirstAnswered = false;
    const flood = Array.from({ length: 1000 }, () => audit.refused({ action: "Login", reason: "X" }));
    void flood[0]!.then(() => {
      isFirstAnswered = true;
    });
    await Promise.all(flood.slice(300));
    expect(isFirstAnswered).toBe(false);
    expect(world.lines.filter((line) => line === "a refusal is not in the audit log")).toHaveLength(798);
    await Promise.all(flood);
  });
});

test("events are found by actor, subject, action, outcome and time, newest first", async () => {
  const start = world.clock();
  await world.written("a", "b", "a");
  await world
    .auditOn(world.db)
    .refused({ action: "Login", reason: "X", actor: { kind: "user", id: "usr_9" } });
  const subjects = async (filter: object) =>
    (await world.list(filter)).map((event) => event.subject ?? event.action);
  expect(await subjects({})).toEqual(["Login", "a", "b", "a"]);
  expect(await subjects({ limit: 2 })).toEqual(["Login", "a"]);
  expect(await subjects({ subject: "a" })).toEqual(["a", "a"]);
  expect(await subjects({ actor: "usr_9" })).toEqual(["Login"]);
  expect(await subjects({ actor: "service" })).toEqual(["a", "b", "a"]);
  expect(await subjects({ action: "Test", outcome: "ok" })).toEqual(["a", "b", "a"]);
  expect(await subjects({ outcome: "refused" })).toEqual(["Login"]);
  const at = (seconds: number) => new Date(start.getTime() + seconds * 1000);
  expect(await subjects({ since: at(1), until: at(2) })).toEqual(["b"]);
});

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { openDb } from "../db/client";
import { type AuditWorld, auditWorld } from "../testing/audit";

let world: AuditWorld;
beforeAll(async () => {
  world = await auditWorld();
});
beforeEach(() => world.clear());
afterAll(() => world.stop());

describe("sealing", () => {
  test("50 parallel writers, some of whom commit late or never, leave no gap and lose nothing", async () => {
    const rounds = 8;
    const wide = openDb({ url: world.url, role: "mall_auth", max: 50 });
    const other = openDb({ url: world.url, role: "mall_auth", max: 2 });
    const audit = world.auditOn(wide);
    let isOver = false;
    const sealing = [world.db, other].map(async (on) => {
      while (!isOver) {
        await world.seal(on);
        await Bun.sleep(1);
      }
    });
    const write = (writer: number, round: number) =>
      wide.tx(async (tx) => {
        await audit.record(tx, { action: "Test", subject: `${writer}.${round}` });
        if (writer % 5 === 0) await Bun.sleep(Math.random() * 40);
        if (writer % 10 === 1) throw new Error("rolled back");
      });
    const writers = Array.from({ length: 50 }, async (_, writer) => {
      for (let round = 0; round < rounds; round++) await write(writer, round).catch(() => {});
    });
    await Promise.all(writers);
    isOver = true;
    await Promise.all(sealing);
    await wide.close();
    await other.close();
    await world.seal();
    const rows = await world.owner.sql<{ sequence: string; subject: string }[]>`
      select s.sequence, e.subject from auth.audit_seals s join auth.audit_events e on e.id = s.event_id
      order by s.sequence`;
    const expected = Array.from({ length: 50 }, (_, writer) => writer)
      .filter((writer) => writer % 10 !== 1)
      .flatMap((writer) => Array.from({ length: rounds }, (_, round) => `${writer}.${round}`));
    expect(rows.map(({ subject }) => subject).sort()).toEqual(expected.sort());
    expect(rows.map(({ sequence }) => Number(sequence))).toEqual(expected.map((_, i) => i + 1));
    expect(await world.verify()).toEqual({ sealed: expected.length, pending: 0, firstBad: undefined });
  });

  test("passes over a transaction that is open, and takes its event when it commits", async () => {
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    const { promise: stored, resolve: isStored } = Promise.withResolvers<void>();
    const late = world.db.tx(async (tx) => {
      await world.auditOn(world.db).record(tx, { action: "Test", subject: "late" });
      isStored();
      await held;
    });
    await stored;
    world.clock.advance(3600);
    await world.written("early");
    await world.seal();
    expect((await world.verify()).sealed).toBe(1);
    letGo();
    await late;
    await world.seal();
    expect((await world.list()).map(({ subject, sequence }) => [subject, sequence])).toEqual([
      ["early", 1],
      ["late", 2],
    ]);
  });

  test("works off more than a batch, and has one sealer at a time", async () => {
    const subjects = Array.from({ length: 1201 }, (_, n) => n);
    await world.db.tx(async (tx) => {
      for (const n of subjects)
        await world.auditOn(world.db).record(tx, { action: "Test", subject: String(n) });
    });
    await Promise.all([world.seal(), world.seal(), world.seal()]);
    expect(await world.verify()).toEqual({ sealed: 1201, pending: 0, firstBad: undefined });
    const heads = await world.owner.sql`select sequence from auth.audit_heads order by sequence`;
    expect(heads.map(({ sequence }) => Number(sequence))).toEqual([500, 1000, 1201]);
  });
});

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { type AuditWorld, auditWorld } from "../testing/audit";
import { auditHead } from "./verify";

let world: AuditWorld;
beforeAll(async () => {
  world = await auditWorld();
});
beforeEach(() => world.clear());
afterAll(() => world.stop());

/** Five events whose places in the chain are their order, and what an operator exported then. */
async function sealedFive() {
  await world.written("a", "b", "c", "d", "e");
  await world.seal();
  const events = await world.owner.sql<{ sequence: string; id: string }[]>`
    select s.sequence, s.event_id as id from auth.audit_seals s order by sequence`;
  return { idAt: (sequence: number) => events[sequence - 1]!.id, head: (await auditHead("auth", world.db))! };
}

type Attack = { what: string; does: (five: Awaited<ReturnType<typeof sealedFive>>) => Promise<unknown> };

describe("an owner of the database", () => {
  const columns: [string, string][] = [
    ["at", "at + interval '1 ms'"],
    ["action", "'Other'"],
    ["outcome", "'refused', reason = 'X'"],
    ["actor_kind", "'user'"],
    ["actor_id", "'usr_2'"],
    ["subject", "'other'"],
    ["request_id", "gen_random_uuid()"],
    ["client_address", "'\\x00'"],
    ["metadata", `'{"a": 1}'`],
  ];
  for (const [column, value] of columns) {
    test(`who edits ${column} of an event is found at that event`, async () => {
      const { idAt } = await sealedFive();
      await world.owner.sql.unsafe(
        `update auth.audit_events set ${column} = ${value} where id = '${idAt(3)}'`,
      );
      expect(await world.verify()).toMatchObject({
        sealed: 2,
        firstBad: `sequence 3, event ${idAt(3)}: the event or its place in the chain was changed`,
      });
    });
  }

  const attacks: (Attack & { found: (idAt: (n: number) => string) => string; sealed: number })[] = [
    {
      what: "deletes an event",
      does: ({ idAt }) => world.owner.sql`delete from auth.audit_events where id = ${idAt(2)}`,
      found: (idAt) => `sequence 2, event ${idAt(2)}: the event is missing`,
      sealed: 1,
    },
    {
      what: "deletes an event with its seal",
      does: async ({ idAt }) => {
        await world.owner.sql`delete from auth.audit_events where id = ${idAt(2)}`;
        await world.owner.sql`delete from auth.audit_seals where sequence = 2`;
      },
      found: () => "sequence 2 is missing",
      sealed: 1,
    },
    {
      what: "deletes an event with its seal and closes the gap",
      does: async ({ idAt }) => {
        await world.owner.sql`delete from auth.audit_events where id = ${idAt(2)}`;
        await world.owner.sql`delete from auth.audit_seals where sequence = 2`;
        for (const n of [3, 4, 5])
          await world.owner.sql`update auth.audit_seals set sequence = ${n - 1} where sequence = ${n}`;
        await world.owner.sql`update auth.audit_heads set sequence = 4`;
      },
      found: (idAt) => `sequence 2, event ${idAt(3)}: the event or its place in the chain was changed`,
      sealed: 1,
    },
    {
      what: "puts two events in another order",
      does: ({ idAt }) =>
        world.owner.tx(async ({ sql }) => {
          await sql`update auth.audit_seals set event_id = gen_random_uuid() where sequence = 2`;
          await sql`update auth.audit_seals set event_id = ${idAt(2)} where sequence = 4`;
          await sql`update auth.audit_seals set event_id = ${idAt(4)} where sequence = 2`;
        }),
      found: (idAt) => `sequence 2, event ${idAt(4)}: the event or its place in the chain was changed`,
      sealed: 1,
    },
    {
      what: "exchanges two seals whole",
      does: () =>
        world.owner.tx(async ({ sql }) => {
          await sql`update auth.audit_seals set sequence = -2 where sequence = 2`;
          await sql`update auth.audit_seals set sequence = 2 where sequence = 4`;
          await sql`update auth.audit_seals set sequence = 4 where sequence = -2`;
        }),
      found: (idAt) => `sequence 2, event ${idAt(4)}: the event or its place in the chain was changed`,
      sealed: 1,
    },
    {
      what: "cuts off the last events with their seals",
      does: async ({ idAt }) => {
        await world.owner.sql`delete from auth.audit_events where id in (${idAt(4)}, ${idAt(5)})`;
        await world.owner.sql`delete from auth.audit_seals where sequence > 3`;
      },
      found: () => "sequence 4 is missing: the log reached 5 and was cut off",
      sealed: 3,
    },
    {
      what: "takes the seals off and leaves the events",
      does: async () => {
        await world.owner.sql`delete from auth.audit_seals where sequence > 3`;
        await world.owner.sql`delete from auth.audit_heads`;
      },
      found: (idAt) => `event ${idAt(4)} was kept from being sealed`,
      sealed: 3,
    },
    {
      what: "forges the hash of an edited event",
      does: async ({ idAt }) => {
        await world.owner.sql`update auth.audit_events set subject = 'x' where id = ${idAt(5)}`;
        await world.owner.sql`update auth.audit_seals set hash = sha256('guess') where sequence = 5`;
      },
      found: (idAt) => `sequence 5, event ${idAt(5)}: the event or its place in the chain was changed`,
      sealed: 4,
    },
    {
      what: "forges a head",
      does: () => world.owner.sql`update auth.audit_heads set mac = sha256('guess')`,
      found: (idAt) => `sequence 5, event ${idAt(5)}: its head is not signed with our key`,
      sealed: 4,
    },
  ];
  for (const { what, does, found, sealed } of attacks) {
    test(`who ${what} is found, with the first bad row`, async () => {
      const five = await sealedFive();
      expect(await world.verify(five.head)).toEqual({ sealed: 5, pending: 0, firstBad: undefined });
      await does(five);
      expect(await world.verify()).toEqual({ sealed, pending: 0, firstBad: found(five.idAt) });
    });
  }

  test("who cuts off heads as well is found by a head that was exported, also when the log went on", async () => {
    const { idAt, head } = await sealedFive();
    for (const table of ["audit_seals", "audit_heads"])
      await world.owner.sql.unsafe(`delete from auth.${table} where sequence > 3`);
    await world.owner.sql`delete from auth.audit_events where id in (${idAt(4)}, ${idAt(5)})`;
    expect((await world.verify()).firstBad).toBeUndefined();
    expect((await world.verify(head)).firstBad).toBe(
      "sequence 4 is missing: the log reached 5 and was cut off",
    );
    await world.written("f", "g", "h");
    await world.seal();
    expect((await world.verify()).firstBad).toBeUndefined();
    const newId = (await world.owner.sql`select event_id as id from auth.audit_seals where sequence = 5`)[0]!
      .id;
    expect((await world.verify(head)).firstBad).toBe(
      `sequence 5, event ${newId}: another hash stood here before`,
    );
  });

  test("who cuts off seals but not heads leaves a gap that the next sealing does not close", async () => {
    await sealedFive();
    await world.owner.sql`delete from auth.audit_seals where sequence > 3`;
    await world.written("f");
    await world.seal();
    expect((await world.verify()).firstBad).toBe("sequence 4 is missing");
  });

  test("who hides an event from the sealer, or deletes one that waits, is found", async () => {
    await sealedFive();
    await world.written("f");
    const [{ id }] = (await world.owner.sql`select event_id as id from auth.audit_pending`) as unknown as [
      { id: string },
    ];
    expect(await world.verify()).toEqual({ sealed: 5, pending: 1, firstBad: undefined });
    await world.owner.sql`delete from auth.audit_events where id = ${id}`;
    expect((await world.verify()).firstBad).toBe(`event ${id} was deleted before it was sealed`);
    await world.owner.sql`delete from auth.audit_pending`;
    await world.written("g");
    await world.owner.sql`delete from auth.audit_pending`;
    expect((await world.verify()).firstBad).toMatch(/^event .* was kept from being sealed$/);
  });

  test("has no use for another master key, nor for a head of his own", async () => {
    const { head, idAt } = await sealedFive();
    await world.owner.sql`delete from auth.audit_heads`;
    const other = "another-master-key-of-at-least-32-characters";
    expect((await world.verify(undefined, other)).firstBad).toStartWith(`sequence 1, event ${idAt(1)}:`);
    const forged = { ...head, sequence: 4 };
    expect((await world.verify(forged)).firstBad).toBe("the head of sequence 4 is not signed with our key");
  });
});

test("a log is whole after the master key changed, under both keys and not under one alone", async () => {
  await sealedFive();
  const next = "another-master-key-of-at-least-32-characters";
  const both = `${next},test-master-key-test-master-key-0123456789`;
  await world.written("f");
  await world.seal(world.db, both);
  expect(await world.verify(undefined, both)).toEqual({ sealed: 6, pending: 0, firstBad: undefined });
  expect((await world.verify(undefined, next)).sealed).toBe(0);
  expect((await world.verify()).sealed).toBe(5);
});

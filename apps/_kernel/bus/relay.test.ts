import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { UserRegisteredSchema } from "@mall/gen/mall/auth/v1/events_pb";
import { type Db, openDb } from "../db/client";
import { testDatabase } from "../testing/database";
import { testClock } from "../testing/harness";
import { type DeadLetter, deadLettersOf } from "./dead-letters";
import { type OutboxOptions, outboxOf } from "./outbox";
import type { Delivery, EventBus, Failure } from "./port";
import { createRelay } from "./relay";
import { messageCleaner } from "./retention";

const day = 24 * 3600;
let database: Awaited<ReturnType<typeof testDatabase>>;
let db: Db;
beforeAll(async () => {
  database = await testDatabase();
  db = openDb({ url: database.url, role: "mall_auth", max: 8 });
});
beforeEach(async () => {
  for (const table of ["outbox", "inbox", "dead_letters"]) await db.sql.unsafe(`delete from auth.${table}`);
});
afterAll(async () => {
  await db.close();
  await database.drop();
});

/** A bus that does with each delivery what the test says. */
function fakeBus(answer: (delivery: Delivery) => Failure["kind"] | undefined, over: Partial<EventBus> = {}) {
  const published: Delivery[][] = [];
  const bus: EventBus = {
    isDirect: true,
    canDelay: false,
    async publish(deliveries) {
      published.push([...deliveries]);
      return deliveries.flatMap((delivery) => {
        const kind = answer(delivery);
        return kind ? [{ delivery, kind, error: new Error(kind) }] : [];
      });
    },
    ...over,
  };
  return { bus, published };
}

function world(bus: EventBus, options: OutboxOptions = {}) {
  const clock = testClock();
  const listeners = { [UserRegisteredSchema.typeName]: ["user", "cart"] as const };
  const outbox = outboxOf("auth", clock, { listeners, canDelay: bus.canDelay, ...options });
  const parts = { db, outbox, bus, clock, log: () => {}, backoffMs: 1000 };
  const relay = createRelay(parts);
  const announce = (subjects: readonly string[], delaySeconds?: number) =>
    db.tx((tx) =>
      outbox.announce(
        tx,
        ...subjects.map((subject) => ({
          ...{ desc: UserRegisteredSchema, data: { userId: subject }, subject, sequence: 1, delaySeconds },
        })),
      ),
    );
  return { clock, outbox, relay, announce, parts };
}

interface Row {
  subject: string;
  consumer: string | null;
  attempts: number;
  due: number | null;
  dead: boolean;
}

/** The outbox as it is; `due` in milliseconds from now. */
const rows = async (now: Date): Promise<Row[]> =>
  (
    await db.sql<(Omit<Row, "due"> & { due_at: string | null })[]>`
      select subject, consumer, attempts, due_at, dead_at is not null as dead from auth.outbox order by subject, consumer`
  ).map(({ due_at, ...row }) => ({ ...row, due: due_at ? Date.parse(due_at) - now.getTime() : null }));
const letters = (): Promise<DeadLetter[]> => deadLettersOf("auth").list(db);

describe("an event", () => {
  test("has a row for each listener, and without one it is history that no relay looks at", async () => {
    const { bus, published } = fakeBus(() => undefined);
    const listened = world(bus);
    await listened.announce(["heard"]);
    const unheard = world(bus, { listeners: {} });
    await unheard.announce(["unheard"]);
    expect(await rows(listened.clock())).toEqual([
      { subject: "heard", consumer: "cart", attempts: 0, due: 0, dead: false },
      { subject: "heard", consumer: "user", attempts: 0, due: 0, dead: false },
      { subject: "unheard", consumer: null, attempts: 0, due: null, dead: false },
    ]);
    await unheard.relay();
    expect(published).toEqual([]);
  });

  test("is published to both when one refuses it, and again to that one only", async () => {
    const { bus, published } = fakeBus(({ consumer }) => (consumer === "user" ? "refused" : undefined));
    const { clock, relay, announce } = world(bus);
    await announce(["one"]);
    await relay();
    clock.advance(1);
    await relay();
    expect(
      published
        .flat()
        .map(({ consumer }) => consumer)
        .sort(),
    ).toEqual(["cart", "user", "user"]);
  });

  test("is tried 10 times with growing distance when it is refused, and then is a dead letter", async () => {
    const { bus, published } = fakeBus(() => "refused");
    const { clock, relay, announce } = world(bus, {
      listeners: { [UserRegisteredSchema.typeName]: ["user"] },
    });
    await announce(["poison"]);
    const waits: (number | null)[] = [];
    for (let i = 0; i < 12; i++) {
      await relay();
      const [row] = await rows(clock());
      waits.push(row!.due);
      clock.advance((row!.due ?? 0) / 1000);
    }
    expect(waits.slice(0, 9)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256].map((s) => s * 1000));
    expect(waits.slice(9)).toEqual([null, null, null]);
    expect(published).toHaveLength(10);
    expect(await letters()).toMatchObject([
      { consumer: "user", error: "refused", event: { subject: "poison", data: { userId: "poison" } } },
    ]);
    expect((await rows(clock()))[0]).toMatchObject({ dead: true, due: null, attempts: 10 });
  });

  test("that can never be taken is a dead letter at once", async () => {
    const { bus } = fakeBus(() => "malformed");
    const { relay, announce } = world(bus);
    await announce(["broken"]);
    await relay();
    expect((await letters()).map(({ consumer }) => consumer).sort()).toEqual(["cart", "user"]);
  });

  test("waits out any outage without a dead letter, and is tried every few seconds for a day", async () => {
    let isAway = true;
    const { bus, published } = fakeBus(() => (isAway ? "away" : undefined));
    const { clock, relay, announce } = world(bus);
    await announce(["patient", "other"]);
    const dues = async () => {
      await relay();
      const now = await rows(clock());
      expect(now.map(({ attempts, dead }) => [attempts, dead])).toEqual(now.map(() => [0, false]));
      return now.map(({ due }) => due!);
    };
    for (let i = 0; i < 50; i++) {
      for (const due of await dues()) expect(due).toBeWithin(2000, 4001);
      clock.advance(4);
    }
    clock.advance(30 * day);
    for (const due of await dues()) expect(due).toBeWithin(150_000, 300_001);
    isAway = false;
    clock.advance(300);
    await relay();
    expect(published.at(-1)!.length + published.at(-2)!.length).toBe(4);
    expect((await rows(clock())).map(({ due }) => due)).toEqual([null, null, null, null]);
    expect(await letters()).toEqual([]);
  });

  test("is kept when publishing fails altogether", async () => {
    const { bus } = fakeBus(() => undefined, { publish: () => Promise.reject(new Error("no broker")) });
    const { clock, relay, announce } = world(bus);
    await announce(["kept"]);
    await relay();
    expect((await rows(clock())).every(({ due, attempts }) => due !== null && attempts === 0)).toBe(true);
  });

  test("is held back until its time where the bus cannot, and handed over with its time where it can", async () => {
    const local = fakeBus(() => undefined);
    const held = world(local.bus);
    await held.announce(["later"], 60);
    await held.relay();
    expect(local.published).toEqual([]);
    held.clock.advance(60);
    await held.relay();
    expect(local.published.flat()).toHaveLength(2);

    const broker = fakeBus(() => undefined, { isDirect: false, canDelay: true });
    const handed = world(broker.bus);
    await handed.announce(["early"], 60);
    await handed.relay();
    const expected = new Date(handed.clock().getTime() + 60_000);
    expect(broker.published.flat().map(({ notBefore }) => notBefore)).toEqual([expected, expected]);
  });
});

describe("a relay", () => {
  test("publishes all listeners' events in one call where that does not wait for them", async () => {
    const { bus, published } = fakeBus(() => undefined, { isDirect: false });
    const { relay, announce } = world(bus);
    await announce(["a", "b", "c"]);
    await relay(["user"]);
    expect(published.map((batch) => batch.length)).toEqual([6]);
  });

  test("goes on until nothing is due, and stops when nobody is there", async () => {
    const many = Array.from({ length: 120 }, (_, i) => `many-${i}`);
    const there = fakeBus(() => undefined);
    const taken = world(there.bus);
    await taken.announce(many);
    await taken.relay(["user"]);
    expect(there.published.map((batch) => batch.length)).toEqual([50, 50, 20]);
    const nobody = fakeBus(() => "away");
    const left = world(nobody.bus);
    await left.announce(many);
    await left.relay(["user"]);
    expect(nobody.published.map((batch) => batch.length)).toEqual([50]);
  });

  test("leaves alone what another relay took after its own lease had run out", async () => {
    const late = Promise.withResolvers<void>();
    const started = Promise.withResolvers<void>();
    const slow = fakeBus(() => undefined, {
      async publish(deliveries) {
        started.resolve();
        await late.promise;
        return deliveries.map((delivery) => ({ delivery, kind: "malformed", error: new Error("too late") }));
      },
    });
    const { clock, relay, announce, parts } = world(slow.bus);
    await announce(["contested"]);
    const first = relay(["user"]);
    await started.promise;
    clock.advance(21);
    const { bus, published } = fakeBus(() => undefined);
    await createRelay({ ...parts, bus })(["user"]);
    expect(published.flat()).toHaveLength(1);
    late.resolve();
    await first;
    expect(await letters()).toEqual([]);
    expect((await rows(clock())).find(({ consumer }) => consumer === "user")).toMatchObject({
      due: null,
      dead: false,
    });
  });

  test("lets a listener that hangs hold up nobody else, however much waits for it", async () => {
    const hanging = Promise.withResolvers<Failure[]>();
    const got: string[] = [];
    const { bus } = fakeBus(() => undefined, {
      async publish(deliveries) {
        if (deliveries.some(({ consumer }) => consumer === "cart")) return hanging.promise;
        got.push(...deliveries.map(({ event }) => event.subject));
        return [];
      },
    });
    const { relay, announce, clock } = world(bus);
    const subjects = Array.from({ length: 120 }, (_, i) => `through-${i}`);
    await announce(subjects);
    const relaying = relay();
    while (got.length < 120) await Bun.sleep(1);
    expect(got.sort()).toEqual(subjects.sort());
    hanging.resolve([]);
    await relaying;
    expect((await rows(clock())).filter(({ due }) => due !== null)).toEqual([]);
  });

  test("runs at most 4 times at once for one listener, and what comes beyond is done by those", async () => {
    const held = Promise.withResolvers<void>();
    const started: string[] = [];
    const { bus } = fakeBus(() => undefined, {
      async publish(deliveries) {
        started.push(...deliveries.map(({ event }) => event.subject));
        await held.promise;
        return [];
      },
    });
    const { relay, announce } = world(bus);
    const subjects = Array.from({ length: 8 }, (_, i) => `storm-${i}`);
    const running: Promise<void>[] = [];
    for (const subject of subjects.slice(0, 4)) {
      await announce([subject]);
      running.push(relay(["user"]));
      while (!started.includes(subject)) await Bun.sleep(1);
    }
    for (const subject of subjects.slice(4)) {
      await announce([subject]);
      // it waits for nobody
      await relay(["user"]);
    }
    expect(started).toEqual(subjects.slice(0, 4));
    held.resolve();
    await Promise.all(running);
    expect(started.sort()).toEqual(subjects);
  });
});

test("a week later messages are deleted in batches, but what waits and what is dead stays", async () => {
  const { bus } = fakeBus(({ event }) => (event.subject === "dead" ? "malformed" : undefined));
  const { clock, relay, announce } = world(bus);
  const clean = messageCleaner("auth");
  await announce(Array.from({ length: 1200 }, (_, i) => `old-${i}`));
  await announce(["dead"]);
  await relay();
  await db.sql.unsafe(
    `insert into auth.inbox (consumer, message_id, received_at)
      select 'x', gen_random_uuid(), $1::timestamptz from generate_series(1, 1500)`,
    [clock().toISOString()],
  );
  await announce(["waiting"]);
  const ids = (await letters()).map(({ id }) => id);
  await deadLettersOf("auth").redriven(db, ids[0]!, clock());
  const counts = async () =>
    (
      await db.sql`select (select count(*)::int from auth.outbox) as events, (select count(*)::int from auth.inbox) as messages,
        (select count(*)::int from auth.dead_letters) as letters`
    )[0];
  const before = { events: 2404, messages: 1500, letters: 2 };
  expect({ ...(await counts()) }).toEqual(before);
  clock.advance(7 * day - 1);
  await clean(db, clock());
  expect({ ...(await counts()) }).toEqual(before);
  clock.advance(2);
  await clean(db, clock());
  expect({ ...(await counts()) }).toEqual({ events: 2, messages: 0, letters: 1 });
  expect((await rows(clock())).map(({ subject }) => subject)).toEqual(["waiting", "waiting"]);
});

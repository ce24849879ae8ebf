import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Message } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import { type Db, openDb } from "../db/client";
import type { EnvSource } from "../env";
import { fault } from "../fault";
import type { Log } from "../log";
import { testDatabase } from "../testing/database";
import { consume, consumer } from "./consume";
import { type DeadLetter, deadLettersOf, redrive } from "./dead-letters";
import { type CloudEvent, outboxOf } from "./outbox";
import type { Delivery, EventBus, Inbox } from "./port";
import { createRelay } from "./relay";
import { attemptsMax } from "./timing";

/** The services that listen in the contract. */
export type Listener = "user" | "cart";

/** One driver between the auth service and its listeners. */
export interface BusWorld {
  bus: EventBus;
  /** Cuts the way that publishing takes. */
  cut(): Promise<void>;
  restore(): Promise<void>;
  /** What a process needs in its environment to publish on this bus. */
  env: EnvSource;
  stop(): Promise<void>;
}

/** How a world is made of what its listeners do with messages. `backoffMs` is small. */
export type OpenWorld = (inboxes: Record<Listener, Inbox>, backoffMs: number) => Promise<BusWorld>;

/** An event of the auth service that says who it is about. */
type Happened = GenMessage<Message & { userId: string }>;

/** What a handler does with one event, before its effect. */
type Behaviour = (who: Listener) => Promise<void> | void;

interface Handled {
  consumer: Listener;
  userId: string;
  event: CloudEvent;
  atMs: number;
}

const backoffMs = 2;
const patienceMs = 40_000;
const silent: Log = () => {};
const listeners: readonly Listener[] = ["user", "cart"];

/** What every event bus must do, together with outbox, relay, inbox and dead letters. */
export function busContract(driver: string, desc: Happened, open: OpenWorld): void {
  const handled: Handled[] = [];
  const calls: Omit<Handled, "atMs">[] = [];
  const behaviours = new Map<string, Behaviour>();
  let skewMs = 0;
  const clock = () => new Date(Date.now() + skewMs);
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let world: BusWorld;
  const dbs = {} as Record<Listener | "auth", Db>;

  const inboxOf = (who: Listener): Inbox => ({
    handle: consume(
      who,
      [
        consumer(desc, async (_tx, { userId }, event) => {
          calls.push({ consumer: who, userId, event });
          await behaviours.get(userId)?.(who);
          handled.push({ consumer: who, userId, event, atMs: Date.now() });
        }),
      ],
      dbs[who],
      clock,
    ),
    bury: (message, error) => deadLettersOf(who).bury(dbs[who], who, message, error, clock()),
  });

  beforeAll(async () => {
    database = await testDatabase();
    for (const name of ["auth", ...listeners] as const)
      dbs[name] = openDb({ url: database.url, role: `mall_${name}`, max: 5 });
    world = await open({ user: inboxOf("user"), cart: inboxOf("cart") }, backoffMs);
  });
  afterAll(async () => {
    await world?.stop();
    await Promise.all(Object.values(dbs).map((db) => db.close()));
    await database?.drop();
  });

  const outbox = () =>
    outboxOf("auth", clock, { listeners: { [desc.typeName]: listeners }, canDelay: world.bus.canDelay });
  const relayOf = (db = dbs.auth, bus = world.bus) =>
    createRelay({ db, outbox: outbox(), bus, clock, log: silent, backoffMs });
  let sequence = 0;
  const announce = (userIds: readonly string[], delaySeconds?: number) =>
    dbs.auth.tx((tx) =>
      outbox().announce(
        tx,
        ...userIds.map((userId) => ({
          desc,
          data: { userId } as never,
          subject: userId,
          sequence: ++sequence,
          delaySeconds,
        })),
      ),
    );
  const names = (what: string, count: number) => Array.from({ length: count }, (_, i) => `${what}-${i}`);
  const handledBy = (who: Listener, userIds: readonly string[]) =>
    handled.filter((one) => one.consumer === who && userIds.includes(one.userId));
  const isHandled = (userIds: readonly string[], by: readonly Listener[] = listeners) =>
    by.every((who) => new Set(handledBy(who, userIds).map(({ userId }) => userId)).size === userIds.length);
  /** Relays until something is true, with much patience. */
  const until = async (isTrue: () => boolean | Promise<boolean>) => {
    const relay = relayOf();
    for (const givenUpAtMs = Date.now() + patienceMs; !(await isTrue()); await Bun.sleep(10)) {
      if (Date.now() > givenUpAtMs) throw new Error("it did not happen");
      await relay();
    }
  };
  const once = (userIds: readonly string[]) => {
    for (const who of listeners)
      expect(
        handledBy(who, userIds)
          .map(({ userId }) => userId)
          .sort(),
      ).toEqual([...userIds].sort());
  };
  const lettersOf = async (userId: string): Promise<(DeadLetter & { keptBy: Listener | "auth" })[]> => {
    const kept = await Promise.all(
      (["auth", ...listeners] as const).map(async (keptBy) =>
        (await deadLettersOf(keptBy).list(dbs[keptBy])).map((letter) => ({ ...letter, keptBy })),
      ),
    );
    return kept.flat().filter(({ event }) => (event as CloudEvent).subject === userId);
  };

  describe(`the ${driver} bus`, () => {
    test("brings an event to each listener as it was announced", async () => {
      await announce(["ada"]);
      await until(() => isHandled(["ada"]));
      for (const who of listeners) {
        const [{ event }] = handledBy(who, ["ada"]) as [Handled];
        expect(event).toMatchObject({
          specversion: "1.0",
          source: "/mall/auth",
          type: desc.typeName,
          subject: "ada",
          datacontenttype: "application/json",
          sequence: String(sequence),
          data: { userId: "ada" },
        });
        expect(Date.parse(event.time)).toBeGreaterThan(Date.now() - 60_000);
      }
    });

    test("brings many at once, each once", async () => {
      const many = names("many", 130);
      await announce(many);
      await until(() => isHandled(many));
      once(many);
    });

    test("brings an event again that its listener did not take, and to nobody else", async () => {
      let failures = 3;
      behaviours.set("flaky", (who) => {
        if (who === "user" && failures-- > 0) throw new Error("not today");
      });
      await announce(["flaky"]);
      await until(() => isHandled(["flaky"]));
      const called = calls.filter(({ userId }) => userId === "flaky").map(({ consumer }) => consumer);
      expect(called.filter((who) => who === "cart")).toHaveLength(1);
      expect(called.filter((who) => who === "user").length).toBeGreaterThanOrEqual(4);
      once(["flaky"]);
    });

    test("brings an event whose listener misses a neighbour once that is back", async () => {
      let failures = 4;
      behaviours.set("waiting", () => {
        if (failures-- > 0) throw fault("unavailable", "SERVICE_UNAVAILABLE", "away");
      });
      await announce(["waiting"]);
      await until(() => isHandled(["waiting"]));
      expect(await lettersOf("waiting")).toEqual([]);
    });

    test("loses nothing while nothing can be published", async () => {
      await world.cut();
      const cut = names("cut", 5);
      await announce(cut);
      for (let i = 0; i < 3; i++) await relayOf()();
      await world.restore();
      await until(() => isHandled(cut));
      once(cut);
      expect(await lettersOf("cut-0")).toEqual([]);
    });

    test("puts an event that is never taken into the dead letters, and the others through", async () => {
      let isBroken = true;
      behaviours.set("poison", (who) => {
        if (who === "cart" && isBroken) throw new Error("poison");
      });
      const others = names("beside", 20);
      await announce(["poison", ...others]);
      await until(async () => isHandled(others) && (await lettersOf("poison")).length > 0);
      once(others);
      await until(() => isHandled(["poison"], ["user"]));
      const [letter, ...more] = await lettersOf("poison");
      expect(more).toEqual([]);
      expect(letter).toMatchObject({ consumer: "cart", event: { data: { userId: "poison" } } });
      const tried = calls.filter((one) => one.userId === "poison" && one.consumer === "cart").length;
      expect(tried).toBeLessThanOrEqual(attemptsMax);
      expect(tried).toBeGreaterThan(2);

      const { keptBy, id } = letter!;
      const again = () =>
        redrive(dbs[keptBy], deadLettersOf(keptBy), id, ({ event }) => inboxOf("cart").handle(event), clock);
      expect(await again()).toEqual({ kind: "refused", error: "poison" });
      isBroken = false;
      const ends = await Promise.all([again(), again(), again()]);
      expect(ends.filter(({ kind }) => kind === "delivered")).toHaveLength(1);
      expect(await again()).toMatchObject({ kind: "done" });
      once(["poison"]);
      expect(await lettersOf("poison")).toEqual([]);
    });

    test("puts an event whose data is broken into the dead letters", async () => {
      const id = crypto.randomUUID();
      await dbs.auth.sql.unsafe(
        `insert into auth.outbox (id, type, consumer, subject, sequence, data, created_at, due_at)
          values ($1, $2, 'user', 'broken', 1, '{"userId": 5}', now(), now())`,
        [id, desc.typeName],
      );
      await until(async () => (await lettersOf("broken")).length > 0);
      expect(await lettersOf("broken")).toMatchObject([{ id, consumer: "user" }]);
    });

    test("brings a delayed event not before its time", async () => {
      const announcedMs = Date.now();
      await announce(["later"], 2);
      await announce(["sooner"]);
      await until(() => isHandled(["sooner", "later"]));
      for (const who of listeners)
        expect(handledBy(who, ["later"])[0]!.atMs - announcedMs).toBeGreaterThanOrEqual(2000);
    });

    test("has one effect, however many relays there are", async () => {
      const others = openDb({ url: database.url, role: "mall_auth", max: 3 });
      const published: Delivery[] = [];
      const counted: EventBus = {
        ...world.bus,
        publish: (deliveries) => {
          published.push(...deliveries);
          return world.bus.publish(deliveries);
        },
      };
      const raced = names("raced", 120);
      await announce(raced);
      const relays = [dbs.auth, others, dbs.auth, others].map((db) => relayOf(db, counted));
      await Promise.all(relays.map((relay) => relay()));
      await until(() => isHandled(raced));
      await others.close();
      once(raced);
      const ids = published.filter(({ event }) => raced.includes(event.subject)).map(({ event }) => event.id);
      expect(ids.length).toBe(new Set(ids).size);
    });

    test("has one effect when what was published is published again", async () => {
      const twice = names("twice", 10);
      await announce(twice);
      await until(() => isHandled(twice));
      await dbs.auth.sql.unsafe("update auth.outbox set due_at = now() where subject like 'twice-%'");
      const marker = ["after-twice"];
      await announce(marker);
      await until(() => isHandled(marker));
      once(twice);
    });

    test("has one effect when the relay is killed between publishing and noting it", async () => {
      const killed = names("killed", 10);
      await announce(killed);
      const child = Bun.spawn(["bun", new URL("../testing/relay-and-die.ts", import.meta.url).pathname], {
        env: { ...process.env, ...world.env, DATABASE_URL: database.url, LISTENERS: listeners.join() },
        stdout: "ignore",
        stderr: "inherit",
      });
      await child.exited;
      expect(child.signalCode).toBe("SIGKILL");
      await relayOf()();
      const [row] = await dbs.auth.sql.unsafe(
        "select count(*)::int as n from auth.outbox where subject like 'killed-%' and due_at is not null",
      );
      expect(row!.n).toBeGreaterThan(0);
      skewMs += 21_000;
      await until(async () => {
        const [left] = await dbs.auth.sql.unsafe(
          "select count(*)::int as n from auth.outbox where subject like 'killed-%' and due_at is not null",
        );
        return left!.n === 0 && isHandled(killed);
      });
      once(killed);
    });

    test("lets a listener that hangs hold up nobody else", async () => {
      const hanging = Promise.withResolvers<void>();
      const slow = names("slow", 60);
      for (const userId of slow)
        behaviours.set(userId, (who) => (who === "cart" ? hanging.promise : undefined));
      await announce(slow);
      const relaying = relayOf()();
      const quick = names("quick", 60);
      try {
        await announce(quick);
        await until(() => isHandled([...slow, ...quick], ["user"]));
        expect(handledBy("cart", slow)).toEqual([]);
      } finally {
        hanging.resolve();
      }
      await relaying;
      await until(() => isHandled([...slow, ...quick]));
      once(quick);
    });
  });
}

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Db, openDb, type Tx } from "../db/client";
import { type Id, idGenerator, uuidOf } from "../id";
import { testDatabase } from "../testing/database";
import { dataKeysOf } from "./data-keys";
import { type Personal, personalData } from "./personal";

const masterKey = "a master key of at least thirty-two characters";
const nextKey = "another master key of thirty-two characters or more";
const strangeKey = "the master key of another mall, as long as that";
const clock = () => new Date();
const newId = idGenerator(clock);

/** Who uses the database of one service, and what is read in it past the service. */
interface Place {
  db: Db;
  /** Somebody who sees what others wait for. */
  owner: Db;
  /** Data keys and personal data of a process with this master key. */
  process(masterKey?: string): { keys: ReturnType<typeof dataKeysOf>; personal: Personal };
  wrapped(subject: Id): Promise<Uint8Array | null | undefined>;
}

const ends: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const end of ends) await end();
});

/** A database of its own, used as the user service. */
async function place(): Promise<Place> {
  const database = await testDatabase();
  const db = openDb({ url: database.url, role: "mall_user", max: 10 });
  const owner = openDb({ url: database.url, max: 1 });
  ends.push(async () => {
    await Promise.all([db.close(), owner.close()]);
    await database.drop();
  });
  return {
    ...{ db, owner },
    process(key = masterKey) {
      const keys = dataKeysOf("user", key, clock);
      return { keys, personal: personalData("user", keys) };
    },
    async wrapped(subject) {
      const [row] = await db.sql`select wrapped from "user".data_keys where subject = ${uuidOf(subject)}`;
      return row?.wrapped as Uint8Array | null | undefined;
    },
  };
}

let shared: Place;
beforeAll(async () => {
  shared = await place();
});

interface Card {
  phone: string;
}

/** Somebody with a sealed row. */
async function somebody(phone = "+15551234567") {
  const { db, wrapped } = shared;
  const rows = shared.process().personal.rows<Card>("cards");
  const [subject, row] = [newId("usr"), newId("adr")];
  const sealed = (await db.tx((tx) => rows.seal(tx, subject, row, { phone })))!;
  return { rows, subject, row, sealed, key: { subject, wrapped: await wrapped(subject) } };
}

const rejection = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "nothing was refused",
    (error: Error) => error.message,
  );

describe("what is personal in a row", () => {
  test("is read again, and is not in what is stored", async () => {
    const { rows, key, row, sealed } = await somebody("+15550001111");
    expect(rows.open(key, row, sealed)).toEqual({ phone: "+15550001111" });
    expect(Buffer.from(sealed).includes("5550001111")).toBe(false);
  });

  test("is bound to its row, its table, its service and its subject", async () => {
    const [ada, eve] = [await somebody(), await somebody()];
    expect(() => ada.rows.open(ada.key, eve.row, ada.sealed)).toThrow();
    expect(() => ada.rows.open(ada.key, ada.row, eve.sealed)).toThrow();
    expect(() => eve.rows.open(eve.key, ada.row, ada.sealed)).toThrow();
    const { keys, personal } = shared.process();
    expect(() => personal.rows("letters").open(ada.key, ada.row, ada.sealed)).toThrow();
    const elsewhere = personalData("order", keys);
    expect(() => elsewhere.rows("cards").open(ada.key, ada.row, ada.sealed)).toThrow();
  });

  test("cannot be read with a key that was put in the place of another subject's", async () => {
    const [ada, eve] = [await somebody(), await somebody()];
    const swapped = { subject: ada.subject, wrapped: eve.key.wrapped };
    expect(() => ada.rows.open(swapped, ada.row, ada.sealed)).toThrow();
    expect(() => shared.process().keys.unwrap(uuidOf(ada.subject), eve.key.wrapped!)).toThrow();
    const foreign = dataKeysOf("order", masterKey, clock);
    expect(() => foreign.unwrap(uuidOf(ada.subject), ada.key.wrapped!)).toThrow();
  });

  test("is sealed with one key a subject, however many begin at once", async () => {
    const { db } = shared;
    const { keys, personal } = shared.process();
    const subject = newId("usr");
    const rows = personal.rows<Card>("cards");
    const ids = Array.from({ length: 20 }, () => newId("adr"));
    const sealed = await Promise.all(
      ids.map((id, n) => db.tx((tx) => rows.seal(tx, subject, id, { phone: `+1555000${n}` }))),
    );
    const key = { subject, wrapped: await shared.wrapped(subject) };
    expect(keys.unwrap(uuidOf(subject), key.wrapped!)).toHaveLength(32);
    for (const [n, id] of ids.entries())
      expect(rows.open(key, id, sealed[n]!)).toEqual({ phone: `+1555000${n}` });
  });

  test("is sealed with the key that another transaction was about to make", async () => {
    const { db, owner } = shared;
    const rows = shared.process().personal.rows<Card>("cards");
    const [subject, row] = [newId("usr"), newId("adr")];
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    const { promise: made, resolve: isMade } = Promise.withResolvers<void>();
    const first = db.tx(async (tx) => {
      await rows.seal(tx, subject, newId("adr"), { phone: "" });
      isMade();
      await held;
    });
    await made;
    const second = db.tx((tx) => rows.seal(tx, subject, row, { phone: "+1" }));
    const waiting = () => owner.sql`select 1 from pg_stat_activity where wait_event_type = 'Lock'
      and datname = current_database() and query like '%data_keys%'`;
    while ((await waiting()).length === 0) await Bun.sleep(5);
    letGo();
    await first;
    const key = { subject, wrapped: await shared.wrapped(subject) };
    expect(rows.open(key, row, (await second)!)).toEqual({ phone: "+1" });
  });

  test("leaves no key behind when its transaction fails", async () => {
    const { db } = shared;
    const subject = newId("usr");
    const rows = shared.process().personal.rows<Card>("cards");
    const failing = db.tx(async (tx) => {
      await rows.seal(tx, subject, newId("adr"), { phone: "" });
      throw new Error("no");
    });
    expect(await rejection(failing)).toBe("no");
    expect(await shared.wrapped(subject)).toBeUndefined();
  });
});

describe("erasing a subject", () => {
  const erase = (personal: Personal, subject: Id) => shared.db.tx((tx: Tx) => personal.erase(tx, subject));

  test("makes what was sealed unreadable, and nothing can be added", async () => {
    const { personal } = shared.process();
    const { rows, subject, row, sealed } = await somebody();
    await erase(personal, subject);
    const wrapped = await shared.wrapped(subject);
    expect(wrapped).toBeNull();
    expect(rows.open({ subject, wrapped }, row, sealed)).toBeUndefined();
    const again = await shared.db.tx((tx) => rows.seal(tx, subject, row, { phone: "+1" }));
    expect(again).toBeUndefined();
    await erase(personal, subject);
    expect(await shared.wrapped(subject)).toBeNull();
  });

  test("holds for a subject that comes later, and touches nobody else", async () => {
    const { personal } = shared.process();
    const other = await somebody();
    const subject = newId("usr");
    await erase(personal, subject);
    const rows = personal.rows<Card>("cards");
    expect(await shared.db.tx((tx) => rows.seal(tx, subject, newId("adr"), { phone: "" }))).toBeUndefined();
    expect(rows.open(other.key, other.row, other.sealed)).toBeDefined();
  });
});

describe("a keyed hash to look up by", () => {
  test("is the same for the same value of a column, and tells nothing without the key", async () => {
    const { db } = shared;
    const { personal, keys } = shared.process();
    const hash = await personal.lookup(db, "accounts.email", "ada@example.com");
    expect(await shared.process().personal.lookup(db, "accounts.email", "ada@example.com")).toEqual(hash);
    expect(await personal.lookup(db, "accounts.email", "eve@example.com")).not.toEqual(hash);
    expect(await personal.lookup(db, "accounts.phone", "ada@example.com")).not.toEqual(hash);
    const elsewhere = personalData("user", { ...keys, ownKey: async () => new Uint8Array(32) });
    expect(await elsewhere.lookup(db, "accounts.email", "ada@example.com")).not.toEqual(hash);
  });
});

describe("the master key", () => {
  test("that is another mall's is refused with a sentence, and makes no keys", async () => {
    const { db, process, wrapped } = await place();
    expect(await process().keys.verify(db)).toBe(true);
    const stranger = process(strangeKey);
    const sentence = "MALL_MASTER_KEY is not the key that the user service sealed its data with.";
    expect(await rejection(stranger.keys.verify(db))).toStartWith(sentence);
    const subject = newId("usr");
    const sealing = db.tx((tx) => stranger.personal.rows("cards").seal(tx, subject, newId("adr"), {}));
    expect(await rejection(sealing)).toStartWith(sentence);
    expect(await wrapped(subject)).toBeUndefined();
  });

  test("is decided once, also when many processes start first", async () => {
    const { db, process } = await place();
    const keys = [masterKey, strangeKey, masterKey, strangeKey, masterKey, strangeKey];
    const ended = await Promise.all(keys.map((key) => rejection(process(key).keys.verify(db))));
    const refused = ended.map((text) => text.startsWith("MALL_MASTER_KEY"));
    expect(refused.filter(Boolean)).toHaveLength(3);
    expect(new Set(keys.filter((_, n) => !refused[n])).size).toBe(1);
  });

  test("makes a service's own key once, also when the first transaction that needs it fails", async () => {
    const { db, process } = await place();
    const [first, second] = [process(), process()];
    const failing = db.tx(async (tx) => {
      await first.personal.rows("cards").seal(tx, newId("usr"), newId("adr"), {});
      await first.personal.lookup(tx, "accounts.email", "ada@example.com");
      throw new Error("no");
    });
    expect(await rejection(failing)).toBe("no");
    const hashes = [second, first].map(({ personal }) =>
      personal.lookup(db, "accounts.email", "ada@example.com"),
    );
    expect(await hashes[1]).toEqual((await hashes[0])!);
  });

  test("is not judged while the database is away", async () => {
    const nowhere = openDb({ url: "postgres://mall@127.0.0.1:1/mall", max: 1 });
    expect(await dataKeysOf("user", masterKey, clock).verify(nowhere)).toBe(false);
    await nowhere.close();
  });

  test("can change: both are read, a rotation wraps all keys anew, then the former one is not needed", async () => {
    const { db, process, wrapped } = await place();
    const former = process(masterKey);
    await former.keys.verify(db);
    const rows = former.personal.rows<Card>("cards");
    const people = await Promise.all(
      Array.from({ length: 1201 }, async (_, n) => {
        const [subject, row] = [newId("usr"), newId("adr")];
        const phone = `+1555${n}`;
        return { subject, row, phone, sealed: await db.tx((tx) => rows.seal(tx, subject, row, { phone })) };
      }),
    );
    const [erased, ada] = people;
    await db.tx((tx) => former.personal.erase(tx, erased!.subject));
    const hash = await former.personal.lookup(db, "accounts.email", "ada@example.com");

    const both = process(`${nextKey}, ${masterKey}`);
    expect(await both.keys.verify(db)).toBe(true);
    const read = async (personal: Personal, { subject, row, sealed }: (typeof people)[number]) =>
      personal.rows<Card>("cards").open({ subject, wrapped: await wrapped(subject) }, row, sealed!);
    expect(await read(both.personal, ada!)).toEqual({ phone: ada!.phone });
    // the 1,200 that are left and the service's own
    expect(await both.keys.rotate(db)).toBe(1201);
    expect(await both.keys.rotate(db)).toBe(0);

    const next = process(nextKey);
    expect(await next.keys.verify(db)).toBe(true);
    expect(await read(next.personal, ada!)).toEqual({ phone: ada!.phone });
    expect(await read(next.personal, people.at(-1)!)).toEqual({ phone: people.at(-1)!.phone });
    expect(await read(next.personal, erased!)).toBeUndefined();
    expect(await next.personal.lookup(db, "accounts.email", "ada@example.com")).toEqual(hash);
    expect(await rejection(process(masterKey).keys.verify(db))).toStartWith("MALL_MASTER_KEY");
  });
});

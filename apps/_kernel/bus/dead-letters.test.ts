import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Db, openDb } from "../db/client";
import { testDatabase } from "../testing/database";
import { testClock } from "../testing/harness";
import { deadLettersOf, redrive } from "./dead-letters";

const letters = deadLettersOf("user");
const clock = testClock();
let database: Awaited<ReturnType<typeof testDatabase>>;
let db: Db;
beforeAll(async () => {
  database = await testDatabase();
  db = openDb({ url: database.url, role: "mall_user", max: 5 });
});
afterAll(async () => {
  await db.close();
  await database.drop();
});

const bury = (message: unknown, error = "broken") => letters.bury(db, "user", message, error, clock());
const eventOf = (id: string) => ({
  id,
  type: "mall.auth.v1.UserRegistered",
  subject: id,
  data: { userId: "x" },
});
const of = async (id: string) => (await letters.list(db)).filter((letter) => letter.id === id);

test("a message is kept once, with the first reason, however often it is reported", async () => {
  const event = eventOf(crypto.randomUUID());
  await Promise.all([bury(event), bury(event)]);
  await bury(event, "again");
  expect(await of(event.id)).toEqual([
    { id: event.id, consumer: "user", event, error: "broken", deadAt: clock(), redrivenAt: undefined },
  ]);
});

test("a message that was handled meanwhile is not kept", async () => {
  const event = eventOf(crypto.randomUUID());
  await db.sql`insert into "user".inbox values (${event.type}, ${event.id}, now())`;
  await bury(event);
  expect(await of(event.id)).toEqual([]);
});

test("anything can be kept, also what PostgreSQL has no character for, and is known by its digest", async () => {
  for (const message of ["no JSON: \u0000 \ud800 \\u0000", "", null, undefined, 7, [{ id: 1 }]]) {
    await bury(message);
    await bury(message);
  }
  const kept = (await letters.list(db)).filter(({ id }) => id.startsWith("sha256-"));
  expect(kept.map(({ event }) => JSON.stringify(event)).sort()).toEqual(
    ['"no JSON: \ufffd \ufffd \\\\ufffd"', '""', "7", '[{"id":1}]', "null"].sort(),
  );
});

test("a dead letter is handled by one of many who redrive it, and known as done from then on", async () => {
  const event = eventOf(crypto.randomUUID());
  await bury(event);
  let handled = 0;
  const drive = () => redrive(db, letters, event.id, async () => void handled++, clock);
  const ends = await Promise.all(Array.from({ length: 5 }, drive));
  expect(ends.filter(({ kind }) => kind === "delivered")).toHaveLength(1);
  const before = handled;
  expect(await drive()).toEqual({ kind: "done", at: clock() });
  expect(handled).toBe(before);
  expect(await redrive(db, letters, "nothing", async () => {}, clock)).toEqual({ kind: "unknown" });
});

test("a dead letter that is refused again stays, with the new reason", async () => {
  const event = eventOf(crypto.randomUUID());
  await bury(event);
  const refuse = async () => {
    throw new Error("still broken");
  };
  expect(await redrive(db, letters, event.id, refuse, clock)).toEqual({
    kind: "refused",
    error: "still broken",
  });
  expect(await of(event.id)).toMatchObject([{ error: "still broken" }]);
});

import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Db, openDb } from "../db/client";
import { type Id, idGenerator, idOf, uuidOf } from "../id";
import { testDatabase } from "../testing/database";
import { clearRows } from "./clear-rows";
import { dataKeysOf } from "./data-keys";
import { personalData } from "./personal";

const clock = () => new Date();
const newId = idGenerator(clock);
const keys = dataKeysOf("user", "a master key of at least thirty-two characters", clock);
const personal = personalData("user", keys);
const table = {
  table: "letters",
  subject: "coalesce(author, id)",
  value: "jsonb_build_object('words', words, 'to', address, 'lost', null)",
  cleared: "words = '', address = '{}'",
};

let owner: Db;
let db: Db;
let drop: () => Promise<void>;
beforeAll(async () => {
  const database = await testDatabase();
  drop = database.drop;
  owner = openDb({ url: database.url, max: 1 });
  db = openDb({ url: database.url, role: "mall_user", max: 5 });
  await owner.sql.unsafe(`
    create table "user".letters (id uuid primary key, author uuid, words text not null, address jsonb not null,
      personal bytea, check (personal is null or words = '' and address = '{}'));
    grant select, insert, update on "user".letters to mall_user`);
});
afterAll(async () => {
  await Promise.all([owner.close(), db.close()]);
  await drop();
});

/** Writes letters as they were before they were sealed. */
async function clearLetters(count: number, authors: readonly (Id<"usr"> | undefined)[]) {
  const letters = Array.from({ length: count }, (_, n) => ({
    id: newId("evt"),
    author: authors[n % authors.length],
    words: `word ${n}`,
  }));
  const rows = letters.map(({ id, author, words }) => ({
    ...{ id: uuidOf(id), author: author ? uuidOf(author) : null, words },
  }));
  await owner.sql.unsafe(
    `insert into "user".letters select id, author, words, '{"city": "Austin"}' from jsonb_to_recordset($1::text::jsonb)
      as r(id uuid, author uuid, words text)`,
    [JSON.stringify(rows)],
  );
  return letters;
}

/** What is stored of a letter, and what it says. */
async function stored(id: Id) {
  const [row] = await owner.sql.unsafe(
    `select words, address, personal, coalesce(author, id) as subject, k.wrapped
      from "user".letters l left join "user".data_keys k on k.subject = coalesce(l.author, l.id) where l.id = $1`,
    [uuidOf(id)],
  );
  const { words, address, subject, wrapped } = row!;
  const key = { subject: idOf("usr", subject as string), wrapped: wrapped as Uint8Array };
  const says = personal.rows("letters").open(key, id, row!.personal as Uint8Array);
  return { words, address, says };
}

test("rows in the clear are sealed in batches by several at once, each once, and nothing of them is left", async () => {
  const letters = await clearLetters(450, [newId("usr"), newId("usr"), undefined]);
  const rows = clearRows("user", keys, table);
  expect(await rows.isLeft(db)).toBe(true);
  const counts = await Promise.all([rows.seal(db), clearRows("user", keys, table).seal(db), rows.seal(db)]);
  expect(counts.reduce((sum, count) => sum + count)).toBe(450);
  expect(await rows.isLeft(db)).toBe(false);
  for (const letter of [letters[0]!, letters[2]!, letters.at(-1)!]) {
    expect(await stored(letter.id)).toEqual({
      ...{ words: "", address: {} as never },
      says: { words: letter.words, to: { city: "Austin" } },
    });
  }
  expect(await rows.seal(db)).toBe(0);
});

test("a row that somebody works on is passed over, and sealed as it is afterwards", async () => {
  const [letter] = await clearLetters(1, [newId("usr")]);
  const rows = clearRows("user", keys, table);
  await db.tx(async (tx) => {
    await tx.sql`update "user".letters set words = 'changed' where id = ${uuidOf(letter!.id)}`;
    expect(await rows.seal(db)).toBe(0);
    expect(await rows.isLeft(db)).toBe(true);
  });
  expect(await rows.seal(db)).toBe(1);
  expect((await stored(letter!.id)).says).toMatchObject({ words: "changed" });
});

test("what an erased subject left in the clear is gone", async () => {
  const author = newId("usr");
  const [letter] = await clearLetters(1, [author]);
  await db.tx((tx) => personal.erase(tx, author));
  expect(await clearRows("user", keys, table).seal(db)).toBe(1);
  expect(await stored(letter!.id)).toEqual({ words: "", address: {} as never, says: undefined });
  const [row] =
    await owner.sql`select length(personal) as bytes from "user".letters where id = ${uuidOf(letter!.id)}`;
  expect(row!.bytes).toBe(0);
});

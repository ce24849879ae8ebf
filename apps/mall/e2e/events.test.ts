import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Db, openDb } from "@mall/kernel/db/client";
import { uuidOf } from "@mall/kernel/id";
import { Client } from "@upstash/qstash";
import { mallWith } from "./command";
import { busKind, host, hostKind } from "./host";
import { newUser, rest } from "./shop";

let db: Db;
beforeAll(async () => {
  db = openDb({ url: (await host()).databaseUrl, max: 2 });
});
afterAll(() => db?.close());

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (const givenUpAtMs = Date.now() + 60_000; Date.now() < givenUpAtMs; await Bun.sleep(50)) {
    const seen = await look();
    if (seen !== undefined) return seen;
  }
  throw new Error("it did not happen");
}

/** Runs the command line with an environment that knows no bus. */
const mall = (...args: string[]) => mallWith({ LOG_LEVEL: "silent" }, ...args);

/** Whether a user has a profile, read past the service, which would make it. */
const profileRows = (userId: string) =>
  db.sql`select 1 from "user".profiles where id = ${uuidOf(userId)}`.then((rows) => [...rows]);

async function emailOf(token: string): Promise<string> {
  const { status, text, body } = await rest<{ user: { email: string } }>("GET", "/v1/me", undefined, {
    token,
  });
  expect([status, text]).toEqual([200, text]);
  return body.user.email;
}

/** A delivery that the stand-in for QStash has tried. */
interface Attempt {
  seq: number;
  url: string;
  status: number;
}

describe(`events over the ${busKind} bus (${hostKind})`, () => {
  test("carry a registration to the user service, which makes the profile before anyone asks", async () => {
    const users = await Promise.all(Array.from({ length: 5 }, () => newUser()));
    for (const { id, email, token } of users) {
      await until(async () => (await profileRows(id))[0]);
      expect(await emailOf(token)).toBe(email);
      expect(await profileRows(id)).toHaveLength(1);
    }
  });

  test("that nobody can read are dead letters, which the command line lists and redrives once", async () => {
    const { id: userId, email, token } = await newUser();
    await until(async () => (await profileRows(userId))[0]);
    await db.sql`delete from "user".profiles where id = ${uuidOf(userId)}`;
    const id = crypto.randomUUID();
    await db.sql.unsafe(
      `insert into auth.outbox (id, type, consumer, subject, sequence, data, created_at, due_at)
        values ($1, 'mall.auth.v1.UserRegistered', 'user', $2, 1, '{"userId": 7}', now(), now())`,
      [id, userId],
    );
    const service = await until(async () => {
      for (const schema of ["auth", "user"]) {
        const [row] = await db.sql`select 1 from ${db.sql(schema)}.dead_letters where id = ${id}`;
        if (row) return schema;
      }
      return undefined;
    });
    const listed = await mall("dlq", "list");
    expect(listed.text).toContain(id);
    expect(listed.text).toContain("mall.auth.v1.UserRegistered → user");
    expect((await mall("dlq", "redrive", service, id)).exitCode).toBe(1);
    const data = JSON.stringify({ userId });
    await db.sql.unsafe(
      `update ${service === "user" ? '"user"' : service}.dead_letters set event = jsonb_set(event, '{data}', $2::text::jsonb)
        where id = $1`,
      [id, data],
    );
    const first = await mall("dlq", "redrive", service, id);
    expect([first.exitCode, first.text]).toEqual([0, `${id}: delivered\n1 of 1 delivered.\n`]);
    const again = await mall("dlq", "redrive", service, id);
    expect([again.exitCode, again.text]).toEqual([1, expect.stringContaining("was delivered at")]);
    expect(await profileRows(userId)).toHaveLength(1);
    expect(await emailOf(token)).toBe(email);
    expect((await mall("dlq", "list", service)).text).not.toContain(id);
    expect((await mall("dlq", "redrive", service, "--all")).exitCode).toBe(0);
  });

  test("are not redriven by a command that is not understood", async () => {
    expect((await mall("dlq", "redrive", "user", crypto.randomUUID())).exitCode).toBe(1);
    for (const args of [
      ["dlq"],
      ["dlq", "list", "nobody"],
      ["dlq", "redrive", "user"],
      ["dlq", "frobnicate"],
    ])
      expect((await mall(...args)).exitCode).toBe(2);
  });

  test.skipIf(busKind !== "qstash")(
    "come with a schedule, by which QStash has every service sweep",
    async () => {
      const { url, bus } = await host();
      const env = { ...bus, PUBLIC_URL: url, LOG_LEVEL: "silent" };
      const run = async (...args: string[]) => (await mallWith(env, "schedules", ...args)).text;
      const headers = { authorization: `Bearer ${bus.QSTASH_TOKEN}` };
      const control = async (method: string, path: string) =>
        (await fetch(`${bus.QSTASH_URL}/control/${path}`, { method, headers })).json();
      let last = 0;
      /** Sweeps that were asked for since the last look. */
      const swept = async (): Promise<number[]> => {
        const attempts = (await control("GET", `attempts?after=${last}`)) as Attempt[];
        if (attempts.length === 0) return [];
        last = attempts.at(-1)!.seq;
        const seen = attempts.filter((attempt) => attempt.url === `${url}/_sweeps`);
        return [...seen.map(({ status }) => status), ...(await swept())];
      };
      expect(await run("show")).toBe("none\n");
      expect(await run("set")).toBe(`* * * * * → ${url}/_sweeps\n`);
      expect(await run("set", "*/5 * * * *")).toBe(`*/5 * * * * → ${url}/_sweeps\n`);
      expect(await run("set", "every day")).toContain("invalid cron");
      const { schedules } = new Client({ baseUrl: bus.QSTASH_URL, token: bus.QSTASH_TOKEN, devMode: false });
      const known = await schedules.list();
      expect(known).toHaveLength(1);
      await swept();
      await control("POST", `schedules/${known[0]!.scheduleId}/hasten`);
      expect(await until(async () => (await swept())[0])).toBe(204);
      expect(await run("remove")).toBe("none\n");
      expect((await mallWith(env, "schedules", "frobnicate")).exitCode).toBe(2);
      expect((await mall("schedules", "show")).text).toContain("BUS must be qstash");
      expect((await fetch(`${url}/_sweeps`, { method: "POST" })).status).toBe(401);
    },
  );

  test("do not come in from outside", async () => {
    const { url } = await host();
    const body = JSON.stringify({ id: crypto.randomUUID(), type: "mall.auth.v1.UserRegistered", data: {} });
    const post = async (path: string) => (await fetch(url + path, { method: "POST", body })).status;
    const refused = busKind === "qstash" ? 401 : 404;
    expect(await post("/_events/user")).toBe(refused);
    expect(await post("/_events/user/failed")).toBe(refused);
    expect(await post("/_events/nobody")).toBe(404);
    expect(await post("/events")).toBe(404);
  });
});

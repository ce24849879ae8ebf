import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atEnd } from "@mall/kernel/testing/cleanup";
import { Client, Receiver, type Schedule } from "@upstash/qstash";
import { randomOf } from "../random";
import { qstashControl } from "./control";
import { parseRetryDelay } from "./retry-delay";
import { type QStash, startQStash } from "./server";

interface Received {
  path: string;
  body: string;
  headers: Headers;
  atMs: number;
}

const received: Received[] = [];
/** What the receiver answers; the default is 200. */
let answer: (request: Received) => Response | Promise<Response> = () => new Response("thanks");

const receiver = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  async fetch(request) {
    const { pathname } = new URL(request.url);
    const one = { path: pathname, body: await request.text(), headers: request.headers, atMs: Date.now() };
    received.push(one);
    return answer(one);
  },
});
const to = (path: string) => `http://127.0.0.1:${receiver.port}${path}`;
const at = (path: string) => received.filter((one) => one.path === path);

let qstash: QStash;
let client: Client;
const clientOf = ({ url, token }: { url: string; token: string }) =>
  new Client({ baseUrl: url, token, devMode: false, retry: false });

beforeAll(() => {
  qstash = startQStash({ speed: 100 });
  client = clientOf(qstash);
});
beforeEach(async () => {
  await qstash.control.chaos({});
  await qstash.control.clear();
  received.length = 0;
  answer = () => new Response("thanks");
});
afterAll(async () => {
  await qstash.stop();
  await receiver.stop(true);
});

const idle = () => qstash.control.idle(20_000);

describe("the real client's message", () => {
  test("arrives as it was published, with its headers", async () => {
    const { messageId } = await client.publish({
      url: to("/one"),
      body: "häl\u0000lo",
      headers: { "x-shop": "mall", "content-type": "text/plain" },
    });
    await idle();
    const [one] = at("/one");
    expect(one!.body).toBe("häl\u0000lo");
    expect(one!.headers.get("x-shop")).toBe("mall");
    expect(one!.headers.get("content-type")).toBe("text/plain");
    expect(one!.headers.get("upstash-message-id")).toBe(messageId);
    expect(one!.headers.get("upstash-retried")).toBe("0");
  });

  test("arrives with all others of one batch", async () => {
    const answers = await client.batch(
      Array.from({ length: 120 }, (_, i) => ({ url: to("/batch"), body: String(i) })),
    );
    expect(new Set(answers.map((one) => (one as { messageId: string }).messageId)).size).toBe(120);
    await idle();
    expect(
      at("/batch")
        .map(({ body }) => Number(body))
        .sort((a, b) => a - b),
    ).toEqual(Array.from({ length: 120 }, (_, i) => i));
  });

  test("of a deduplication id arrives once", async () => {
    const publish = () => client.publish({ url: to("/dedup"), body: "x", deduplicationId: "same" });
    const [first, second] = [await publish(), await publish()];
    expect(second).toMatchObject({
      messageId: (first as { messageId: string }).messageId,
      deduplicated: true,
    });
    await idle();
    expect(at("/dedup")).toHaveLength(1);
  });

  test("waits for its delay and for its moment, and neither for others", async () => {
    const publishedMs = Date.now();
    await client.publish({ url: to("/late"), body: "", delay: 1 });
    await client.publish({ url: to("/moment"), body: "", notBefore: Math.floor(publishedMs / 1000) + 3 });
    await client.publish({ url: to("/now"), body: "" });
    await idle();
    expect(received.map(({ path }) => path)).toEqual(["/now", "/late", "/moment"]);
    expect(at("/late")[0]!.atMs - publishedMs).toBeGreaterThanOrEqual(1000);
    expect(at("/moment")[0]!.atMs).toBeGreaterThanOrEqual((Math.floor(publishedMs / 1000) + 3) * 1000);
  });

  test("can be looked at and cancelled while it waits", async () => {
    const { messageId } = (await client.publish({ url: to("/never"), body: "x", delay: 60 })) as {
      messageId: string;
    };
    expect(await client.messages.get(messageId)).toMatchObject({ messageId, url: to("/never"), body: "x" });
    expect(await client.messages.cancel(messageId)).toEqual({ cancelled: 1 });
    expect(client.messages.get(messageId)).rejects.toThrow("not found");
    await client.publish({ url: to("/never"), body: "x", delay: 60 });
    expect(await client.messages.cancel({ all: true })).toEqual({ cancelled: 1 });
    expect((await idle()).pending).toBe(0);
    expect(received).toEqual([]);
  });

  test("of a schedule comes when it is due, unless it is paused, until it is deleted", async () => {
    const { schedules } = client;
    const headers = { "x-shop": "mall" };
    const { scheduleId } = await schedules.create({
      destination: to("/cron"),
      cron: "5 4 * * *",
      headers,
      body: "x",
    });
    const known = (await schedules.get(scheduleId)) as Schedule & { nextScheduleTime: number };
    expect(known).toMatchObject({ scheduleId, cron: "5 4 * * *", destination: to("/cron"), isPaused: false });
    const next = new Date(known.nextScheduleTime);
    expect(next.toISOString()).toEndWith("T04:05:00.000Z");
    expect(next.getTime() - Date.now()).toBeWithin(1, 24 * 3_600_000 + 1);
    await qstash.control.hasten(scheduleId);
    await idle();
    expect(
      at("/cron").map(({ body, headers: seen }) => [
        body,
        seen.get("x-shop"),
        seen.get("upstash-schedule-id"),
      ]),
    ).toEqual([["x", "mall", scheduleId]]);
    expect((await schedules.get(scheduleId)) as object).toMatchObject({
      nextScheduleTime: known.nextScheduleTime,
    });
    await schedules.pause({ schedule: scheduleId });
    await qstash.control.hasten(scheduleId);
    await Bun.sleep(50);
    expect([await idle(), at("/cron").length]).toEqual([expect.anything(), 1]);
    await schedules.resume({ schedule: scheduleId });
    while (at("/cron").length < 2) await Bun.sleep(5);
    await schedules.create({ scheduleId, destination: to("/other"), cron: "* * * * *" });
    expect((await schedules.list()).map(({ destination }) => destination)).toEqual([to("/other")]);
    await schedules.delete(scheduleId);
    expect([await schedules.list(), at("/cron").length]).toEqual([[], 2]);
    expect(schedules.get(scheduleId)).rejects.toThrow("not found");
    for (const cron of ["", "* * * *", "* * * * * *", "61 * * * *"])
      expect(schedules.create({ destination: to("/cron"), cron })).rejects.toThrow("invalid cron");
  });

  test("is refused with a bad address, too many retries, a delay that is none, or a wrong token", async () => {
    const refusal = (promise: Promise<unknown>) =>
      promise.then(
        () => undefined,
        (error: { status: number }) => error.status,
      );
    expect(await refusal(client.publish({ url: "ftp://x", body: "" }))).toBe(400);
    expect(await refusal(client.publish({ url: to("/"), body: "", retries: 99 }))).toBe(400);
    expect(await refusal(client.publish({ url: to("/"), body: "", retryDelay: "process.exit()" }))).toBe(400);
    expect(await refusal(client.publish({ url: to("/"), body: "x".repeat(1024 * 1024 + 1) }))).toBe(413);
    const batch = [
      { url: to("/good"), body: "" },
      { url: "nowhere", body: "" },
    ];
    expect(await refusal(client.batch(batch))).toBe(400);
    expect(
      await refusal(clientOf({ url: qstash.url, token: "wrong" }).publish({ url: to("/"), body: "" })),
    ).toBe(401);
    expect((await idle()).delivered).toBe(0);
  });
});

describe("a delivery that fails", () => {
  test("is repeated with growing distance until it succeeds", async () => {
    answer = ({ headers }) =>
      new Response("", { status: headers.get("upstash-retried") === "3" ? 200 : 500 });
    await client.publish({ url: to("/flaky"), body: "x", retryDelay: "pow(2, retried) * 5000" });
    await idle();
    const times = at("/flaky").map(({ atMs }) => atMs);
    expect(times).toHaveLength(4);
    const gaps = times.slice(1).map((ms, i) => ms - times[i]!);
    expect(gaps[0]).toBeGreaterThanOrEqual(49);
    expect(gaps[1]).toBeGreaterThanOrEqual(99);
    expect(gaps[2]).toBeGreaterThanOrEqual(199);
  });

  test("for good lands in the dead letters and is reported, with the message and the answer", async () => {
    answer = ({ path }) => (path === "/broken" ? new Response("no way", { status: 422 }) : new Response(""));
    await client.publish({
      url: to("/broken"),
      body: '{"n":1}',
      retries: 2,
      retryDelay: "1",
      failureCallback: to("/failed"),
    });
    await idle();
    expect(at("/broken")).toHaveLength(3);
    const report = JSON.parse(at("/failed")[0]!.body);
    expect(report).toMatchObject({ status: 422, retried: 2, maxRetries: 2, url: to("/broken") });
    expect([atob(report.sourceBody), atob(report.body)]).toEqual(['{"n":1}', "no way"]);
    const { messages } = await client.dlq.listMessages();
    expect(messages).toMatchObject([{ dlqId: report.dlqId, responseStatus: 422, body: '{"n":1}' }]);
    expect(await client.dlq.delete(report.dlqId)).toEqual({ deleted: 1 });
    expect((await client.dlq.listMessages()).messages).toEqual([]);
  });

  test("is not repeated when the receiver says so", async () => {
    answer = () => new Response("", { status: 489, headers: { "Upstash-NonRetryable-Error": "true" } });
    await client.publish({ url: to("/final"), body: "" });
    await idle();
    expect(at("/final")).toHaveLength(1);
    expect((await client.dlq.listMessages()).messages).toHaveLength(1);
  });

  test("can be tried again from the dead letters", async () => {
    answer = () => new Response("", { status: 500 });
    await client.publish({ url: to("/again"), body: "x", retries: 0 });
    await idle();
    answer = () => new Response("");
    const { messages } = await client.dlq.listMessages();
    await client.dlq.retry(messages[0]!.dlqId);
    expect((await idle()).delivered).toBe(1);
    expect((await client.dlq.listMessages()).messages).toEqual([]);
  });

  test("waits as long as the receiver asks", async () => {
    answer = ({ headers }) =>
      headers.get("upstash-retried") === "0"
        ? new Response("", { status: 503, headers: { "retry-after": "30" } })
        : new Response("");
    await client.publish({ url: to("/asked"), body: "", retryDelay: "1" });
    await idle();
    const [first, second] = at("/asked");
    expect(second!.atMs - first!.atMs).toBeGreaterThanOrEqual(299);
  });
});

test("a delivery that succeeds is reported to its callback", async () => {
  await client.publish({ url: to("/work"), body: "in", callback: to("/done") });
  await idle();
  const report = JSON.parse(at("/done")[0]!.body);
  expect([report.status, atob(report.body), atob(report.sourceBody)]).toEqual([200, "thanks", "in"]);
});

describe("the real receiver", () => {
  const verify = (keys: { current: string; next: string }, one: Received, url: string, body = one.body) =>
    new Receiver({ currentSigningKey: keys.current, nextSigningKey: keys.next, devMode: false })
      .verify({ signature: one.headers.get("upstash-signature")!, body, url })
      .catch(() => false);

  test("accepts what was signed for it, and nothing else", async () => {
    await client.publish({ url: to("/signed"), body: "text" });
    await idle();
    const [one] = at("/signed");
    const keys = qstash.keys();
    expect(await verify(keys, one!, to("/signed"))).toBe(true);
    expect(await verify(keys, one!, to("/signed"), "other")).toBe(false);
    expect(await verify(keys, one!, to("/elsewhere"))).toBe(false);
    expect(await verify({ current: "sig_a", next: "sig_b" }, one!, to("/signed"))).toBe(false);
  });

  test("accepts the next key after a rotation", async () => {
    const before = qstash.keys();
    const after = qstash.rotate();
    expect(after.current).toBe(before.next);
    await client.publish({ url: to("/rotated"), body: "text" });
    await idle();
    expect(await verify(before, at("/rotated")[0]!, to("/rotated"))).toBe(true);
  });
});

describe("chaos", () => {
  const publishAll = (path: string, count: number) =>
    client.batch(Array.from({ length: count }, (_, i) => ({ url: to(path), body: String(i) })));

  test("duplicates, drops, loses answers and reorders, and every message arrives all the same", async () => {
    await qstash.control.chaos({ seed: 7, duplicate: 0.3, drop: 0.3, loseAnswer: 0.3, delayMs: 200 });
    await publishAll("/chaos", 60);
    const { faults } = await idle();
    for (const count of Object.values(faults)) expect(count).toBeGreaterThan(3);
    const bodies = at("/chaos").map(({ body }) => body);
    expect(new Set(bodies).size).toBe(60);
    expect(bodies.length).toBe(60 + faults.duplicated + faults.answersLost);
    const ids = at("/chaos").map(({ headers }) => headers.get("upstash-message-id"));
    expect(new Set(ids).size).toBe(60);
  });

  test("is the same for the same seed", async () => {
    const run = async (seed: number) => {
      await qstash.control.clear();
      await qstash.control.chaos({ seed, duplicate: 0.3, drop: 0.2 });
      await publishAll("/seeded", 40);
      const { duplicated, dropped } = (await idle()).faults;
      return [duplicated, dropped];
    };
    const first = await run(11);
    expect(first.every((count) => count > 0)).toBe(true);
    expect(await run(11)).toEqual(first);
  });

  test("can hold everything back", async () => {
    await qstash.control.hold();
    await publishAll("/held", 5);
    await Bun.sleep(100);
    expect(received).toEqual([]);
    expect(await qstash.control.state()).toMatchObject({ pending: 5, isHeld: true });
    await qstash.control.release();
    await idle();
    expect(at("/held")).toHaveLength(5);
  });

  test("replays what it recorded, in an order that the seed decides", async () => {
    await publishAll("/replayed", 30);
    await idle();
    const recorded = await qstash.control.recorded();
    const replay = async (seed: number) => {
      received.length = 0;
      await qstash.control.replay({ seed, copies: 2, spacingMs: 3 });
      await idle();
      return at("/replayed").map(({ body }) => body);
    };
    const bodies = await replay(3);
    expect([...bodies].sort()).toEqual(recorded.flatMap(({ body }) => [body, body]).sort());
    expect(bodies).not.toEqual(recorded.flatMap(({ body }) => [body, body]));
    expect((await qstash.control.recorded()).length).toBe(30);
  });
});

test("what was accepted survives kill -9, and what was in hand comes again", async () => {
  const folder = await mkdtemp(join(tmpdir(), "qstash-"));
  atEnd(() => rm(folder, { recursive: true, force: true }));
  const start = async () => {
    const child = Bun.spawn(["bun", "infra/qstash/main.ts"], {
      cwd: new URL("../..", import.meta.url).pathname,
      env: { ...process.env, PORT: "0", QSTASH_FILE: join(folder, "qstash.db"), QSTASH_TOKEN: "secret" },
      stdout: "pipe",
      stderr: "inherit",
    });
    const { value } = await child.stdout.getReader().read();
    const url = /QSTASH_URL=(\S+)/.exec(new TextDecoder().decode(value))![1]!;
    return { child, url, keys: new TextDecoder().decode(value).split("\n").slice(2).join() };
  };
  // the receiver never answers the first delivery
  answer = ({ headers }) => (received.length === 1 && headers ? new Promise(() => {}) : new Response(""));
  const first = await start();
  await clientOf({ url: first.url, token: "secret" }).publish({ url: to("/crash"), body: "in hand" });
  await clientOf({ url: first.url, token: "secret" }).publish({ url: to("/crash"), body: "later", delay: 1 });
  while (received.length === 0) await Bun.sleep(5);
  first.child.kill("SIGKILL");
  await first.child.exited;
  const second = await start();
  try {
    await qstashControl(second.url, "secret").idle(20_000);
    expect(at("/crash").map(({ body }) => body)).toEqual(["in hand", "in hand", "later"]);
    expect(second.keys).toBe(first.keys);
  } finally {
    second.child.kill("SIGKILL");
    await second.child.exited;
  }
});

describe("a retry delay", () => {
  test("is computed as documented", () => {
    const of = (text: string, retried: number) => parseRetryDelay(text)(retried);
    expect([0, 1, 2].map((n) => of("pow(2, retried) * 1000", n))).toEqual([1000, 2000, 4000]);
    expect(of("1000 * (1 + retried)", 3)).toBe(4000);
    expect(of("max(1000, pow(2, retried) * 100)", 0)).toBe(1000);
    expect(of("10 - 2 - 3", 0)).toBe(5);
    expect(of("-5", 0)).toBe(0);
    expect(of("exp(100)", 0)).toBe(24 * 3600 * 1000);
  });

  test("that is none is refused", () => {
    for (const text of ["", "pow(", "1 +", "alert(1)", "constructor(1)", "1 2", "retried.x", "a".repeat(300)])
      expect(() => parseRetryDelay(text)).toThrow(RangeError);
  });
});

test("a permutation is decided by its seed and loses nothing", () => {
  const items = Array.from({ length: 50 }, (_, i) => i);
  expect(randomOf("1").shuffle(items)).toEqual(randomOf("1").shuffle(items));
  expect(randomOf("1").shuffle(items)).not.toEqual(randomOf("2").shuffle(items));
  expect(
    randomOf("9")
      .shuffle(items)
      .sort((a, b) => a - b),
  ).toEqual(items);
});

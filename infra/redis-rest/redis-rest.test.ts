import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { breaker } from "@mall/kernel/breaker";
import { cacheContract } from "@mall/kernel/cache/contract";
import { upstashCache } from "@mall/kernel/cache/upstash";
import { rateLimiterContract } from "@mall/kernel/ratelimit/contract";
import { guardedLimiter, limiterWaitMs } from "@mall/kernel/ratelimit/guarded";
import { memoryLimiter } from "@mall/kernel/ratelimit/memory";
import type { RateLimiter } from "@mall/kernel/ratelimit/port";
import { scriptsBy, upstashLimiter } from "@mall/kernel/ratelimit/upstash";
import { redisCommand } from "@mall/kernel/redis/command";
import { upstashRedis } from "@mall/kernel/redis/upstash";
import { startRedis, type TestRedis } from "@mall/kernel/testing/redis";
import { Redis } from "@upstash/redis";
import { limits, startRedisRest } from "./server";

const token = "a-token-of-at-least-16";
const isThere = Bun.which("redis-server") !== null;
if (!isThere)
  console.warn(
    "SKIPPED: redis-server is not installed, Redis over REST was not tried; infra/install-debian.sh installs it",
  );

describe.skipIf(!isThere)("Redis over REST", () => {
  let redis: TestRedis;
  let rest: ReturnType<typeof startRedisRest>;
  let client: Redis;
  let limiter: RateLimiter;
  let alone: RateLimiter;
  const limiterOf = (timeoutMs: number, isJoined = true) => {
    const address = { url: rest.url, token, timeoutMs };
    return upstashLimiter(isJoined ? upstashRedis(address, true) : scriptsBy(redisCommand(address)));
  };
  beforeAll(async () => {
    redis = (await startRedis())!;
    rest = startRedisRest({ redisUrl: redis.url, token });
    client = new Redis({ url: rest.url, token, retry: false, enableTelemetry: false });
    limiter = limiterOf(5_000);
    alone = limiterOf(5_000, false);
  });
  afterAll(async () => {
    await rest.stop();
    await redis.stop();
  });

  /** A request as any client sends it, and what it is answered. */
  async function ask(path: string, init: RequestInit = {}, bearer: string | null = token) {
    const headers = { ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }), ...init.headers };
    const response = await fetch(rest.url + path, { ...init, headers });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    ask(path, { method: "POST", body: JSON.stringify(body), headers });

  test("gives @upstash/redis what it put in: texts, numbers, objects, lists, hashes and sorted sets", async () => {
    const odd = "ä🦄 \\\"'\n\u0000%2F/?&=+";
    await client.set("odd", odd);
    expect(await client.get<string>("odd")).toBe(odd);
    await client.set("OK", "OK");
    expect(await client.mget<string[]>("OK", "odd", "none")).toEqual(["OK", odd, null] as never);
    expect(await client.set("once", { a: [1, null, "x"] }, { nx: true, px: 60_000 })).toBe("OK");
    expect(await client.set("once", "other", { nx: true })).toBeNull();
    expect(await client.get<object>("once")).toEqual({ a: [1, null, "x"] });
    expect(await client.pttl("once")).toBeWithin(1, 60_001);
    expect(await client.incrby("count", 7)).toBe(7);
    await client.hset("hash", { a: 1, b: "two", c: { d: true } });
    expect(await client.hgetall("hash")).toEqual({ a: 1, b: "two", c: { d: true } });
    await client.rpush<unknown>("list", "a", 1, { x: 1 });
    expect(await client.lrange<unknown>("list", 0, -1)).toEqual(["a", 1, { x: 1 }]);
    await client.zadd("sorted", { score: 1.5, member: "a" }, { score: 0.5, member: "b" });
    expect(await client.zrange<unknown[]>("sorted", 0, -1, { withScores: true })).toEqual([
      "b",
      0.5,
      "a",
      1.5,
    ]);
    expect(await client.scan(0, { match: "so*", count: 1000 })).toEqual(["0", ["sorted"]]);
  });

  test("runs a pipeline in order, with an outcome for each", async () => {
    const pipeline = client.pipeline().set("p", 1).incr("p").lpush("p", "x").get("p");
    const outcomes = await pipeline.exec({ keepErrors: true });
    expect(outcomes.map(({ result, error }) => error?.split(" ")[0] ?? result)).toEqual([
      "OK",
      2,
      "WRONGTYPE",
      2,
    ]);
  });

  test("runs a transaction as one, and none of it when one command cannot be", async () => {
    expect(await client.multi().set("m", 1).incr("m").get("m").exec<unknown[]>()).toEqual(["OK", 2, 2]);
    const others = Array.from({ length: 20 }, () =>
      client.multi().incr("turn").incr("turn").exec<number[]>(),
    );
    for (const [first, second] of await Promise.all(others)) expect(second).toBe(first! + 1);
    expect((await post("/multi-exec", [["SET", "m", "9"], ["NO-SUCH-COMMAND"]])).status).toBe(400);
    expect(await client.get<number>("m")).toBe(2);
  });

  test("takes commands as a path, with options in the query and a value in the body", async () => {
    expect((await ask("/set/a%2Fb/x%20y/EX/60")).body).toEqual({ result: "OK" });
    expect((await ask("/GET/a%2Fb")).body).toEqual({ result: "x y" });
    expect((await ask("/set/bytes?EX=60", { method: "POST", body: "z" })).body).toEqual({ result: "OK" });
    expect((await ask("/get/bytes", { headers: { "upstash-encoding": "base64" } })).body).toEqual({
      result: "eg==",
    });
    expect((await ask("/ttl/bytes")).body.result).toBeWithin(1, 61);
    expect((await ask("/get/%E0%A4%A")).status).toBe(400);
  });

  test("keeps any bytes", async () => {
    const bytes = new Uint8Array([0, 255, 128, 10, 13, 195, 40]);
    await ask("/set/raw", { method: "POST", body: bytes });
    const { body } = await post("/", ["GET", "raw"], { "upstash-encoding": "base64" });
    expect(body).toEqual({ result: Buffer.from(bytes).toString("base64") });
  });

  test("takes scripts with the flag that only Upstash knows, by text and by hash", async () => {
    const script = `#!lua flags=allow-key-locking\n-- ${crypto.randomUUID()}\nreturn {KEYS[1], ARGV[1]}`;
    const hash = createHash("sha1").update(script).digest("hex");
    await expect(client.evalsha(hash, ["k"], ["v"])).rejects.toThrow("NOSCRIPT");
    expect(await client.eval<string[], unknown[]>(script, ["k"], ["v"])).toEqual(["k", "v"]);
    expect(await client.evalsha<string[], unknown[]>(hash, ["k"], ["v"])).toEqual(["k", "v"]);
    const other = "#!lua flags=no-writes,allow-key-locking\nreturn redis.call('set', KEYS[1], 1)";
    const loaded = await client.scriptLoad(other);
    expect(loaded).toBe(createHash("sha1").update(other).digest("hex"));
    expect(await client.scriptExists(loaded, hash, "0".repeat(40))).toEqual([1, 1, 0]);
    await expect(client.evalsha(loaded, ["k"], [])).rejects.toThrow("Write commands are not allowed");
  });

  test("is for those who have the token", async () => {
    for (const bearer of [null, "", "wrong", `${token}x`])
      expect((await ask("/get/odd", {}, bearer)).status).toBe(401);
    expect((await ask(`/get/none?_token=${token}`, {}, null)).body).toEqual({ result: null });
    expect(() => startRedisRest({ redisUrl: redis.url, token: "short" })).toThrow("16 characters");
  });

  test("refuses what would hold or change the connection that all share, and what is no command", async () => {
    const wrong = [
      "SUBSCRIBE c",
      "blpop l 0",
      "SELECT 1",
      "MULTI",
      "client reply off",
      "XREAD BLOCK 0 STREAMS s 0",
    ];
    for (const text of wrong) expect([text, (await post("/", text.split(" "))).status]).toEqual([text, 400]);
    for (const body of [{}, [], [["GET", "a"]], ["GET", null], ["GET", {}], "GET"])
      expect((await post("/", body)).status).toBe(400);
    expect((await post("/pipeline", [["GET", "odd"], ["MONITOR"]])).status).toBe(400);
    expect((await post("/pipeline", Array(limits.commandsMax + 1).fill(["PING"]))).status).toBe(400);
    expect((await ask("/", { method: "POST", body: "no json" })).status).toBe(400);
    expect((await ask("/get/odd", { method: "DELETE" })).status).toBe(405);
    const large = await fetch(rest.url, { method: "POST", body: "x".repeat(limits.bodyBytesMax + 1) });
    expect(large.status).toBe(413);
    expect(await client.ping()).toBe("PONG");
  });

  test("says so when Redis is away, and goes on when it is back", async () => {
    await redis.kill();
    expect((await post("/", ["PING"])).status).toBe(503);
    await redis.start();
    for (const untilMs = Date.now() + 10_000; (await post("/", ["PING"])).status !== 200; await Bun.sleep(20))
      expect(Date.now()).toBeLessThan(untilMs);
  });

  rateLimiterContract("Upstash Redis", () => limiter);
  rateLimiterContract("Upstash Redis, a request for each", () => alone);

  cacheContract("Upstash Redis", () => upstashCache({ url: rest.url, token, timeoutMs: 5_000 }));

  describe("rate limits in Redis", () => {
    const limit = { name: "shared", perSecond: 0.001, burst: 6 };

    test("are one for all instances, whichever way they ask, and keys go by themselves", async () => {
      const instances = [limiterOf(5_000), limiterOf(5_000, false), limiterOf(5_000)];
      const taken = await Promise.all(
        Array.from({ length: 30 }, (_, i) => instances[i % 3]!.take(limit, "all")),
      );
      expect(taken.filter(({ isAllowed }) => isAllowed)).toHaveLength(6);
      expect(await client.pttl("mall:rate:shared:all")).toBeGreaterThan(0);
    });

    test("are each instance's own while Redis hangs, which costs one request in many 50 ms, and shared again after", async () => {
      const instance = () =>
        guardedLimiter(limiterOf(limiterWaitMs), memoryLimiter(), breaker({ failuresMax: 3, pauseMs: 300 }));
      const [one, other] = [instance(), instance()];
      const fast = { name: "fast", perSecond: 0.001, burst: 1_000 };
      expect((await one.take(fast, "k")).remaining).toBe(999);
      redis.pause();
      const startedMs = performance.now();
      for (let i = 0; i < 100; i++) expect((await one.take(fast, "k")).isAllowed).toBe(true);
      expect(performance.now() - startedMs).toBeLessThan(20 * limiterWaitMs);
      redis.resume();
      await Bun.sleep(400);
      // what came while Redis hung may have been counted when it went on
      const before = (await other.take(fast, "k")).remaining;
      expect(before).toBeWithin(990, 999);
      expect((await one.take(fast, "k")).remaining).toBe(before - 1);
    });
  });
});

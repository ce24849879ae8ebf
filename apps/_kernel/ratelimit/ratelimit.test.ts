import { describe, expect, test } from "bun:test";
import { type BreakerState, breaker } from "../breaker";
import type { RedisAddress } from "../redis/address";
import { redisCommand } from "../redis/command";
import { upstashRedis } from "../redis/upstash";
import { bindingLimiter } from "./binding";
import { rateLimiterContract } from "./contract";
import { guardedLimiter, limiterWaitMs } from "./guarded";
import { memoryLimiter } from "./memory";
import type { RateLimiter } from "./port";
import { type Scripts, scriptsBy, upstashLimiter } from "./upstash";

const memory = memoryLimiter();
rateLimiterContract("memory", () => memory);

const limit = { name: "test", perSecond: 1, burst: 3 };

describe("memory", () => {
  test("gives as much back as time went by, and takes nothing when the clock goes back", async () => {
    let nowMs = 1_000_000;
    const limiter = memoryLimiter(() => nowMs);
    const seen = async () => (await limiter.take(limit, "a")).remaining;
    expect([await seen(), await seen(), await seen(), await seen()]).toEqual([2, 1, 0, 0]);
    nowMs += 999;
    expect((await limiter.take(limit, "a")).isAllowed).toBe(false);
    nowMs += 1;
    expect((await limiter.take(limit, "a")).isAllowed).toBe(true);
    nowMs -= 500_000;
    expect((await limiter.take(limit, "a")).isAllowed).toBe(false);
    nowMs += 3_600_000;
    expect(await seen()).toBe(2);
    nowMs -= 500_000;
    expect(await seen()).toBe(1);
  });

  test("knows so many keys and no more, and those that were used last", async () => {
    const limiter = memoryLimiter(() => 0, 3);
    const first = async (key: string) => (await limiter.take(limit, key)).remaining;
    for (const key of ["a", "b", "c", "a", "d"]) await first(key);
    expect(await first("a")).toBe(0);
    expect(await first("b")).toBe(2);
  });
});

describe("a breaker", () => {
  test("opens after failures in a row, lets one try in a while, and closes when that goes well", () => {
    let nowMs = 0;
    const states: BreakerState[] = [];
    const one = breaker({
      ...{ failuresMax: 3, pauseMs: 1_000, nowMs: () => nowMs, onChange: (state) => states.push(state) },
    });
    one.failed();
    one.failed();
    one.succeeded();
    one.failed();
    one.failed();
    expect([one.state, one.mayTry()]).toEqual(["closed", true]);
    one.failed();
    expect([one.state, one.isDue, one.mayTry()]).toEqual(["open", false, false]);
    nowMs = 1_000;
    expect([one.isDue, one.mayTry(), one.isDue, one.mayTry()]).toEqual([true, true, false, false]);
    one.failed();
    nowMs = 1_999;
    expect(one.mayTry()).toBe(false);
    // one whose try was never ended is tried again
    nowMs = 3_000;
    expect([one.mayTry(), one.mayTry()]).toEqual([true, false]);
    one.succeeded();
    expect([one.state, one.mayTry(), one.mayTry()]).toEqual(["closed", true, true]);
    expect(states).toEqual(["open", "closed"]);
  });
});

/** A shared limiter that does as it is told. */
function scripted() {
  let asked = 0;
  let how: RateLimiter["take"] = async () => ({ isAllowed: true, remaining: 77 });
  return {
    limiter: {
      take: (of, key) => {
        asked++;
        return how(of, key);
      },
    } satisfies RateLimiter,
    will(next: RateLimiter["take"]) {
      how = next;
    },
    asked: () => asked,
  };
}

describe("a guarded limiter", () => {
  const guarded = (shared: RateLimiter, nowMs = () => 0) =>
    guardedLimiter(shared, memoryLimiter(nowMs), breaker({ failuresMax: 2, pauseMs: 1_000, nowMs }));

  test("goes by what all instances have counted", async () => {
    const shared = scripted();
    const limiter = guarded(shared.limiter);
    expect(await limiter.take(limit, "a")).toEqual({ isAllowed: true, remaining: 77 });
    shared.will(async () => ({ isAllowed: false, remaining: 0 }));
    expect(await limiter.take(limit, "a")).toEqual({ isAllowed: false, remaining: 0 });
  });

  test("does not ask when its own instance has let in too many already", async () => {
    const shared = scripted();
    const limiter = guarded(shared.limiter);
    for (let i = 0; i < 10; i++) await limiter.take(limit, "a");
    expect(shared.asked()).toBe(3);
  });

  test("limits by itself when the shared one fails, and asks that again after a while", async () => {
    let nowMs = 0;
    const shared = scripted();
    const limiter = guarded(shared.limiter, () => nowMs);
    shared.will(async () => Promise.reject(new Error("refused")));
    const verdicts = [];
    for (let i = 0; i < 5; i++) verdicts.push((await limiter.take(limit, "a")).isAllowed);
    expect(verdicts).toEqual([true, true, true, false, false]);
    expect(shared.asked()).toBe(2);
    nowMs = 5_000;
    shared.will(async () => ({ isAllowed: true, remaining: 5 }));
    expect((await limiter.take(limit, "a")).remaining).toBe(5);
    expect((await limiter.take(limit, "a")).remaining).toBe(5);
  });

  test("waits 50 ms for a shared one that hangs, twice and then not at all", async () => {
    const shared = scripted();
    const limiter = guarded(shared.limiter);
    shared.will(() => new Promise(() => {}));
    const startedMs = performance.now();
    for (let i = 0; i < 20; i++) await limiter.take({ ...limit, burst: 100 }, "a");
    expect(shared.asked()).toBe(2);
    expect(performance.now() - startedMs).toBeWithin(2 * limiterWaitMs - 5, 20 * limiterWaitMs);
  });
});

describe.each([
  ["by single commands", (redis: RedisAddress): Scripts => scriptsBy(redisCommand(redis))],
  ["by Upstash's client", (redis: RedisAddress): Scripts => upstashRedis(redis, true)],
])("a Redis over REST, %s, that is away", (_, scriptsIn) => {
  /** A limiter on this address as instances use it, and what ten requests of a burst of three are told. */
  async function tenAt(url: string) {
    const shared = upstashLimiter(scriptsIn({ url, token: "t", timeoutMs: limiterWaitMs }));
    const limiter = guardedLimiter(shared, memoryLimiter(), breaker({ failuresMax: 3, pauseMs: 60_000 }));
    const startedMs = performance.now();
    const allowed: boolean[] = [];
    const waitsMs: number[] = [];
    for (let i = 0; i < 10; i++) {
      const atMs = performance.now();
      allowed.push((await limiter.take(limit, "a")).isAllowed);
      waitsMs.push(performance.now() - atMs);
    }
    return { allowed, waitsMs, totalMs: performance.now() - startedMs };
  }
  const asAlone = [true, true, true, ...Array(7).fill(false)];

  test("because nobody listens: everything is limited locally", async () => {
    const { allowed } = await tenAt("http://127.0.0.1:1");
    expect(allowed).toEqual(asAlone);
  });

  test("because it hangs: everything is limited locally, and hardly later", async () => {
    const hanging = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    try {
      const { allowed, waitsMs, totalMs } = await tenAt(`http://127.0.0.1:${hanging.port}`);
      expect(allowed).toEqual(asAlone);
      // the three that went to Redis were waited for, and it was not asked again
      expect(waitsMs.filter((ms) => ms > limiterWaitMs - 10)).toHaveLength(3);
      expect(totalMs).toBeLessThan(10 * limiterWaitMs);
    } finally {
      hanging.stop(true);
    }
  });

  test("because it answers errors: everything is limited locally", async () => {
    const broken = Bun.serve({
      ...{ hostname: "127.0.0.1", port: 0 },
      fetch: () => Response.json({ error: "ERR max daily request limit exceeded" }, { status: 400 }),
    });
    try {
      expect((await tenAt(`http://127.0.0.1:${broken.port}`)).allowed).toEqual(asAlone);
    } finally {
      await broken.stop(true);
    }
  });
});

describe("rate-limit bindings", () => {
  /** Bindings that count as workerd's do: so many of a key, and whether it was too many. */
  function counting(most: number) {
    const seen = new Map<string, number>();
    const count = (name: string) => ({
      async limit({ key }: { key: string }) {
        const n = (seen.get(`${name} ${key}`) ?? 0) + 1;
        seen.set(`${name} ${key}`, n);
        return { success: n <= most };
      },
    });
    return { LIMIT_TEST: count("test"), AUTH: count("no limit of ours") };
  }

  test("refuse what all isolates together let in too often, and each what is too much for itself alone", async () => {
    const bindings = counting(5);
    const closed = () => breaker({ failuresMax: 3, pauseMs: 1_000 });
    const isolate = () =>
      guardedLimiter(
        bindingLimiter(bindings),
        memoryLimiter(() => 0),
        closed(),
      );
    const [one, two, three] = [isolate(), isolate(), isolate()];
    const all = async (isolates: RateLimiter[], times: number) => {
      const verdicts: boolean[] = [];
      for (let n = 0; n < times; n++)
        for (const each of isolates) verdicts.push((await each.take(limit, "a")).isAllowed);
      return verdicts.filter(Boolean).length;
    };
    expect((await one.take(limit, "b")).remaining).toBe(2);
    expect(await all([one, two, three], 3)).toBe(5);
    expect(await all([isolate()], 10)).toBe(0);
    // what a fresh isolate has left by itself is no use to somebody who is refused
    expect(await isolate().take(limit, "a")).toEqual({ isAllowed: false, remaining: 0 });
    expect((await bindingLimiter(bindings).take({ ...limit, name: "auth" }, "a")).isAllowed).toBe(true);
  });

  test("that fail leave each isolate its own limit", async () => {
    const bindings = { LIMIT_TEST: { limit: () => Promise.reject(new Error("away")) } };
    const states = breaker({ failuresMax: 3, pauseMs: 1_000 });
    const guarded = guardedLimiter(
      bindingLimiter(bindings),
      memoryLimiter(() => 0),
      states,
    );
    const verdicts = [];
    for (let n = 0; n < 5; n++) verdicts.push((await guarded.take(limit, "a")).isAllowed);
    expect(verdicts).toEqual([true, true, true, false, false]);
  });
});

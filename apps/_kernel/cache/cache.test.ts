import { describe, expect, test } from "bun:test";
import { breaker } from "../breaker";
import { cacheContract } from "./contract";
import { cacheWaitMs, guardedCache } from "./guarded";
import { memoryCache } from "./memory";
import type { Cache } from "./port";
import { upstashCache } from "./upstash";

const memory = memoryCache();
cacheContract("memory", () => memory);

test("memory keeps so many values and no more, and those that were written last", async () => {
  const cache = memoryCache(() => 0, 3);
  for (const key of ["a", "b", "a", "c", "d"]) {
    const { generation } = await cache.read("g", [key]);
    await cache.write("g", generation, new Map([[key, key]]), 1_000);
  }
  expect((await cache.read("g", ["a", "b", "c", "d"])).values).toEqual(["a", undefined, "c", "d"]);
});

describe("a shared cache that is away", () => {
  /** What twenty readers get of a cache, which each of them also writes to, and how long they waited. */
  async function twenty(shared: Cache) {
    const cache = guardedCache(shared, breaker({ failuresMax: 3, pauseMs: 60_000 }));
    const waitsMs: number[] = [];
    for (let i = 0; i < 20; i++) {
      const atMs = performance.now();
      const seen = await cache.read("g", ["a", "b"]);
      expect(seen.values).toEqual([undefined, undefined]);
      waitsMs.push(performance.now() - atMs);
      await cache.write("g", seen.generation, new Map([["a", 1]]), 1_000);
    }
    await expect(cache.forget("g")).rejects.toThrow();
    return waitsMs;
  }
  const at = (url: string) => upstashCache({ url, token: "t", timeoutMs: cacheWaitMs });

  test("because nobody listens: there is nothing in it, and no error", async () => {
    await twenty(at("http://127.0.0.1:1"));
  });

  test("because it hangs: three wait for it, the others do not", async () => {
    const hanging = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    try {
      const waitsMs = await twenty(at(`http://127.0.0.1:${hanging.port}`));
      expect(waitsMs.filter((ms) => ms > cacheWaitMs - 10)).toHaveLength(3);
    } finally {
      hanging.stop(true);
    }
  });

  test("because it answers errors or nonsense: there is nothing in it, and no error", async () => {
    const answers = [
      () => Response.json({ error: "ERR max daily request limit exceeded" }, { status: 400 }),
      () => Response.json([{ error: "OOM command not allowed" }, { error: "OOM command not allowed" }]),
      () => new Response("<html>"),
    ];
    for (const fetch of answers) {
      const broken = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch });
      try {
        await twenty(at(`http://127.0.0.1:${broken.port}`));
      } finally {
        await broken.stop(true);
      }
    }
  });

  test("is asked again after a while, and used when it is back", async () => {
    let nowMs = 0;
    let isAway = true;
    const inner = memoryCache();
    const shared: Cache = {
      ...inner,
      read: (...args) => (isAway ? Promise.reject(new Error("away")) : inner.read(...args)),
    };
    const cache = guardedCache(shared, breaker({ failuresMax: 1, pauseMs: 1_000, nowMs: () => nowMs }));
    expect((await cache.read("g", ["a"])).generation).toBe("");
    isAway = false;
    expect((await cache.read("g", ["a"])).generation).toBe("");
    nowMs = 1_000;
    const { generation } = await cache.read("g", ["a"]);
    await cache.write("g", generation, new Map([["a", 1]]), 1_000);
    expect((await cache.read("g", ["a"])).values).toEqual([1]);
  });
});

import { afterAll, beforeAll, describe } from "bun:test";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cacheContract } from "@mall/kernel/cache/contract";
import type { Cache } from "@mall/kernel/cache/port";
import { rateLimiterContract } from "@mall/kernel/ratelimit/contract";
import type { RateLimiter } from "@mall/kernel/ratelimit/port";
import { startTestRedisRest, type TestRedisRest } from "@mall/kernel/testing/redis-rest";
import { root } from "../repository";
import { startTestWorker } from "../test-worker";
import type { DriverAnswers, DriverCall } from "./worker";

let redis: TestRedisRest | undefined;
let worker: Awaited<ReturnType<typeof startTestWorker>>;
const folder = mkdtempSync(join(tmpdir(), "mall-drivers-"));

const isThere = Bun.which("redis-server") !== null;
if (!isThere)
  console.warn(
    "SKIPPED: redis-server is not installed, drivers in workerd were not tried; infra/install-debian.sh",
  );

/** Has a driver in the Worker do something. */
async function ask<V extends DriverCall["verb"]>(call: DriverCall & { verb: V }): Promise<DriverAnswers[V]> {
  const address = `http://127.0.0.1:${worker.port}/`;
  const response = await fetch(address, { method: "POST", body: JSON.stringify(call) });
  if (!response.ok) throw new Error(`the Worker answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as DriverAnswers[V];
}

const cacheIn = (driver: DriverCall["driver"]): Cache => ({
  async read(group, keys) {
    const { generation, values } = await ask({ driver, verb: "read", group, keys });
    return { generation, values: values.map(([value]) => value) };
  },
  write: async (group, generation, values, ttlMs) =>
    void (await ask({ driver, verb: "write", group, generation, values: [...values], ttlMs })),
  forget: async (group) => void (await ask({ driver, verb: "forget", group })),
});
const limiterIn = (driver: DriverCall["driver"]): RateLimiter => ({
  take: (limit, key) => ask({ driver, verb: "take", limit, key }),
});

describe.skipIf(!isThere)("in workerd", () => {
  beforeAll(async () => {
    redis = (await startTestRedisRest())!;
    const { UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token } = redis.env;
    const own = { name: "drivers", main: join(root, "infra/redis-rest/worker.ts"), vars: { url, token } };
    const runtime = { compatibility_date: "2026-11-01", compatibility_flags: ["nodejs_compat"] };
    const config = join(folder, "wrangler.json");
    await Bun.write(config, JSON.stringify({ ...own, ...runtime }));
    worker = await startTestWorker(config);
  }, 90_000);
  afterAll(async () => {
    await worker?.stop();
    await redis?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  for (const driver of ["memory", "Upstash Redis"] as const) {
    cacheContract(`${driver} in workerd`, () => cacheIn(driver));
    rateLimiterContract(`${driver} in workerd`, () => limiterIn(driver));
  }
});

import { memoryCache } from "@mall/kernel/cache/memory";
import type { Cache, Json } from "@mall/kernel/cache/port";
import { upstashCache } from "@mall/kernel/cache/upstash";
import { memoryLimiter } from "@mall/kernel/ratelimit/memory";
import type { Limit, RateLimiter, Verdict } from "@mall/kernel/ratelimit/port";
import { scriptsBy, upstashLimiter } from "@mall/kernel/ratelimit/upstash";
import type { RedisAddress } from "@mall/kernel/redis/address";
import { redisCommand } from "@mall/kernel/redis/command";

/** One call of a driver in the Worker; a value that is not there is an empty list. */
export type DriverCall = { driver: "memory" | "Upstash Redis" } & (
  | { verb: "read"; group: string; keys: readonly string[] }
  | { verb: "write"; group: string; generation: string; values: [string, Json][]; ttlMs: number }
  | { verb: "forget"; group: string }
  | { verb: "take"; limit: Limit; key: string }
);

/** What it is answered. */
export interface DriverAnswers {
  read: { generation: string; values: Json[][] };
  write: object;
  forget: object;
  take: Verdict;
}

interface Drivers {
  cache: Cache;
  limiter: RateLimiter;
}

const memory: Drivers = { cache: memoryCache(), limiter: memoryLimiter() };
let redis: Drivers | undefined;

const redisOf = (address: RedisAddress): Drivers => ({
  cache: upstashCache(address),
  limiter: upstashLimiter(scriptsBy(redisCommand(address))),
});

async function answer(
  { cache, limiter }: Drivers,
  call: DriverCall,
): Promise<DriverAnswers[keyof DriverAnswers]> {
  if (call.verb === "take") return limiter.take(call.limit, call.key);
  if (call.verb === "read") {
    const { generation, values } = await cache.read(call.group, call.keys);
    return { generation, values: values.map((value) => (value === undefined ? [] : [value])) };
  }
  if (call.verb === "write") await cache.write(call.group, call.generation, new Map(call.values), call.ttlMs);
  else await cache.forget(call.group);
  return {};
}

/** Has the drivers of the cache and of the rate limiter work in workerd, for their contract suites. */
export default {
  async fetch(request: Request, { url, token }: { url: string; token: string }): Promise<Response> {
    if (request.method !== "POST") return new Response(null, { status: 404 });
    const call = (await request.json()) as DriverCall;
    redis ??= redisOf({ url, token, timeoutMs: 5_000 });
    return Response.json(await answer(call.driver === "memory" ? memory : redis, call));
  },
};

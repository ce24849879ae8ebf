import { type Watch, watchedBreaker } from "../breaker";
import type { UpstashEnv } from "../env";
import { upstashOf } from "../redis/address";
import { cacheWaitMs, guardedCache } from "./guarded";
import { memoryCache } from "./memory";
import type { Cache } from "./port";
import { upstashCache } from "./upstash";

/** The cache that the environment names, and whether other instances see what this one forgets. */
export function cacheOf(env: UpstashEnv, watch: Watch): { cache: Cache; isShared: boolean } {
  const redis = upstashOf(env, cacheWaitMs);
  if (!redis) return { cache: memoryCache(), isShared: false };
  const shared = upstashCache(redis);
  return {
    cache: guardedCache(shared, watchedBreaker(watch, "cache", { failuresMax: 3, pauseMs: 2_000 })),
    isShared: true,
  };
}

import { type Watch, watchedBreaker } from "../breaker";
import { incompleteEnv, type UpstashEnv } from "../env";
import { cacheWaitMs, guardedCache } from "./guarded";
import { memoryCache } from "./memory";
import type { Cache } from "./port";
import { upstashCache } from "./upstash";

/** Address and token of the Redis that the environment names, if it does. Throws Error naming what is not set. */
export function upstashOf(env: UpstashEnv): { url: string; token: string } | undefined {
  const { UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token } = env;
  if (!url) return undefined;
  if (!token) throw incompleteEnv(["UPSTASH_REDIS_REST_TOKEN: must be set with UPSTASH_REDIS_REST_URL"]);
  return { url, token };
}

/** The cache that the environment names, and whether other instances see what this one forgets. */
export function cacheOf(env: UpstashEnv, watch: Watch): { cache: Cache; isShared: boolean } {
  const redis = upstashOf(env);
  if (!redis) return { cache: memoryCache(), isShared: false };
  const shared = upstashCache({ ...redis, timeoutMs: cacheWaitMs });
  return {
    cache: guardedCache(shared, watchedBreaker(watch, "cache", { failuresMax: 3, pauseMs: 2_000 })),
    isShared: true,
  };
}

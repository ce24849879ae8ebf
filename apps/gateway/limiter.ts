import { type Watch, watchedBreaker } from "@mall/kernel/breaker";
import { upstashOf } from "@mall/kernel/cache/settings";
import { guardedLimiter, limiterWaitMs } from "@mall/kernel/ratelimit/guarded";
import { memoryLimiter } from "@mall/kernel/ratelimit/memory";
import type { RateLimiter, SharedLimiter } from "@mall/kernel/ratelimit/port";
import { upstashLimiter } from "@mall/kernel/ratelimit/upstash";
import type { GatewayEnv } from "./env";

/**
 * The limiter that the environment names: all instances together in Redis, else those that the host's own limiter
 * counts together, else each by itself, as also while the other is away. Throws Error naming what is not set.
 */
export function limiterOf(
  env: GatewayEnv,
  watch: Watch,
  isPipelined: boolean,
  ofHost?: SharedLimiter,
): RateLimiter {
  const local = memoryLimiter();
  const redis = upstashOf(env);
  const shared = redis ? upstashLimiter({ ...redis, timeoutMs: limiterWaitMs, isPipelined }) : ofHost;
  if (!shared) return local;
  return guardedLimiter(
    shared,
    local,
    watchedBreaker(watch, "rate limits", { failuresMax: 3, pauseMs: 2_000 }),
  );
}

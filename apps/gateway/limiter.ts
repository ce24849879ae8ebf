import { type Watch, watchedBreaker } from "@mall/kernel/breaker";
import { upstashOf } from "@mall/kernel/cache/settings";
import { guardedLimiter, limiterWaitMs } from "@mall/kernel/ratelimit/guarded";
import { memoryLimiter } from "@mall/kernel/ratelimit/memory";
import type { RateLimiter } from "@mall/kernel/ratelimit/port";
import { upstashLimiter } from "@mall/kernel/ratelimit/upstash";
import type { GatewayEnv } from "./env";

/**
 * The limiter that the environment names: each instance by itself, or all together in Redis, and each by itself while
 * Redis is away. Throws Error naming what is not set.
 */
export function limiterOf(env: GatewayEnv, watch: Watch, isPipelined: boolean): RateLimiter {
  const local = memoryLimiter();
  const redis = upstashOf(env);
  if (!redis) return local;
  return guardedLimiter(
    upstashLimiter({ ...redis, timeoutMs: limiterWaitMs, isPipelined }),
    local,
    watchedBreaker(watch, "rate limits", { failuresMax: 3, pauseMs: 2_000 }),
  );
}

import { type Watch, watchedBreaker } from "@mall/kernel/breaker";
import { guardedLimiter, limiterWaitMs } from "@mall/kernel/ratelimit/guarded";
import { memoryLimiter } from "@mall/kernel/ratelimit/memory";
import type { RateLimiter, SharedLimiter } from "@mall/kernel/ratelimit/port";
import { type Scripts, scriptsBy, upstashLimiter } from "@mall/kernel/ratelimit/upstash";
import { type RedisAddress, upstashOf } from "@mall/kernel/redis/address";
import { redisCommand } from "@mall/kernel/redis/command";
import type { GatewayEnv } from "./env";

/** What the host counts with for more than one process. */
export interface HostLimits {
  /** Its way to a Redis; a request for each script when not said. */
  scriptsIn?(redis: RedisAddress): Scripts;
  /** Counts where no Redis is named. */
  limiter?: SharedLimiter;
}

/**
 * The limiter that the environment names: all instances together in Redis, else those that the host's own limiter
 * counts together, else each by itself, as also while the other is away. Throws Error naming what is not set.
 */
export function limiterOf(
  env: GatewayEnv,
  watch: Watch,
  { scriptsIn = (redis) => scriptsBy(redisCommand(redis)), limiter }: HostLimits,
): RateLimiter {
  const local = memoryLimiter();
  const redis = upstashOf(env, limiterWaitMs);
  const shared = redis ? upstashLimiter(scriptsIn(redis)) : limiter;
  if (!shared) return local;
  return guardedLimiter(
    shared,
    local,
    watchedBreaker(watch, "rate limits", { failuresMax: 3, pauseMs: 2_000 }),
  );
}

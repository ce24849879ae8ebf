import { breaker } from "@mall/kernel/breaker";
import { incompleteEnv } from "@mall/kernel/env";
import type { Log } from "@mall/kernel/log";
import { guardedLimiter, limiterWaitMs } from "@mall/kernel/ratelimit/guarded";
import { memoryLimiter } from "@mall/kernel/ratelimit/memory";
import type { RateLimiter } from "@mall/kernel/ratelimit/port";
import { upstashLimiter } from "@mall/kernel/ratelimit/upstash";
import type { GatewayEnv } from "./env";

/**
 * The limiter that the environment names: each instance by itself, or all together in Redis, and each by itself while
 * Redis is away. Throws Error naming what is not set.
 */
export function limiterOf(env: GatewayEnv, log: Log, isPipelined: boolean): RateLimiter {
  const local = memoryLimiter();
  const { UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token } = env;
  if (!url) return local;
  if (!token) throw incompleteEnv(["UPSTASH_REDIS_REST_TOKEN: must be set with UPSTASH_REDIS_REST_URL"]);
  const onChange = (state: string) =>
    log("warn", `rate limits ${state === "open" ? "are each instance's own" : "are shared"}`, {
      redis: state === "open" ? "away" : "back",
    });
  return guardedLimiter(
    upstashLimiter({ url, token, timeoutMs: limiterWaitMs, isPipelined }),
    local,
    breaker({ failuresMax: 3, pauseMs: 2_000, onChange }),
  );
}

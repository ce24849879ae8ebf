import { Ratelimit } from "@upstash/ratelimit";
import { Redis } from "@upstash/redis/cloudflare";
import type { Limit, RateLimiter } from "./port";

export interface UpstashLimiterOptions {
  /** Address of the Redis's REST interface. */
  url: string;
  token: string;
  /** Milliseconds one request to it may take. */
  timeoutMs: number;
  /** Whether what several requests ask at the same time goes out together, which Workers do not allow. */
  isPipelined: boolean;
  /** Beginning of all keys. */
  prefix?: string;
}

/** A bucket's refill in whole tokens, which is all that @upstash/ratelimit has: the smallest step that is exact. */
function refillOf({ perSecond }: Limit): { tokens: number; everyMs: number } {
  if (perSecond <= 10) return { tokens: 1, everyMs: Math.round(1000 / perSecond) };
  const tenths = [1, 2, 5, 10].find((count) => (perSecond * count) % 10 === 0) ?? 10;
  return { tokens: Math.round((perSecond * tenths) / 10), everyMs: tenths * 100 };
}

/**
 * Buckets that all instances share, in Upstash Redis or a Redis behind the same REST protocol. A key is
 * `<prefix>:<limit>:<key>` and goes when its bucket is full again. Rejects when Redis does not answer in time: use it
 * through `guardedLimiter`.
 */
export function upstashLimiter(options: UpstashLimiterOptions): RateLimiter {
  const { url, token, timeoutMs, isPipelined, prefix = "mall:rate" } = options;
  const redis = new Redis({
    ...{ url, token, retry: { retries: 0 }, signal: () => AbortSignal.timeout(timeoutMs) },
    ...{ enableAutoPipelining: isPipelined, enableTelemetry: false, readYourWrites: false },
  });
  const limiters = new Map<string, Ratelimit>();
  const limiterOf = (limit: Limit): Ratelimit => {
    const id = `${limit.name} ${limit.perSecond} ${limit.burst}`;
    const known = limiters.get(id);
    if (known) return known;
    const { tokens, everyMs } = refillOf(limit);
    const made = new Ratelimit({
      redis,
      limiter: Ratelimit.tokenBucket(tokens, `${everyMs} ms`, limit.burst),
      prefix: `${prefix}:${limit.name}`,
      // no answer of its own: neither while Redis hangs nor of what it remembers
      ...{ timeout: 0, ephemeralCache: false, analytics: false },
    });
    limiters.set(id, made);
    return made;
  };
  return {
    async take(limit, key) {
      const { success, remaining } = await limiterOf(limit).limit(key);
      return { isAllowed: success, remaining: Math.max(0, remaining) };
    },
  };
}

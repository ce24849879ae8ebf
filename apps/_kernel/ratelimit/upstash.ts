import { Ratelimit } from "@upstash/ratelimit";
import type { Redis } from "@upstash/redis/cloudflare";
import type { Command } from "../redis/command";
import type { Limit, RateLimiter } from "./port";

/** What the limiter asks of Redis. */
export type Scripts = Pick<Redis, "eval" | "evalsha">;

/** Scripts by single commands. */
export const scriptsBy = (command: Command): Scripts => {
  const by = (verb: "EVAL" | "EVALSHA") => (script: string, keys: string[], args: unknown[]) =>
    command<never>(verb, script, keys.length, ...keys, ...args.map(String));
  return { eval: by("EVAL"), evalsha: by("EVALSHA") };
};

/** A bucket's refill in whole tokens, which is all that @upstash/ratelimit has: the smallest step that is exact. */
function refillOf({ perSecond }: Limit): { tokens: number; everyMs: number } {
  if (perSecond <= 10) return { tokens: 1, everyMs: Math.round(1000 / perSecond) };
  const tenths = [1, 2, 5, 10].find((count) => (perSecond * count) % 10 === 0) ?? 10;
  return { tokens: Math.round((perSecond * tenths) / 10), everyMs: tenths * 100 };
}

/**
 * Buckets that all instances share, in Upstash Redis or a Redis behind the same REST protocol. A key is
 * `mall:rate:<limit>:<key>` and goes when its bucket is full again. Rejects when Redis does not answer in time: use it
 * through `guardedLimiter`.
 */
export function upstashLimiter(scripts: Scripts): RateLimiter {
  // its type asks for more than it uses without dynamic limits
  const redis = scripts as Redis;
  const limiters = new Map<string, Ratelimit>();
  const limiterOf = (limit: Limit): Ratelimit => {
    const id = `${limit.name} ${limit.perSecond} ${limit.burst}`;
    const known = limiters.get(id);
    if (known) return known;
    const { tokens, everyMs } = refillOf(limit);
    const made = new Ratelimit({
      redis,
      limiter: Ratelimit.tokenBucket(tokens, `${everyMs} ms`, limit.burst),
      prefix: `mall:rate:${limit.name}`,
      // no answer of its own: neither while Redis hangs nor of what it remembers
      ...{ timeout: 0, ephemeralCache: false, analytics: false, enableTelemetry: false },
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

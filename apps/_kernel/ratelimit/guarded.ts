import { asking, type Breaker } from "../breaker";
import { within } from "../concurrency";
import type { RateLimiter, SharedLimiter } from "./port";

/** Longest time that a request waits for a shared limiter. */
export const limiterWaitMs = 50;

/**
 * A shared limiter that nobody depends on. The local one counts everything as well: it refuses first, without asking,
 * what one instance alone has had too much of, and it decides when the shared one fails, hangs or is not asked because
 * it did so before.
 */
export function guardedLimiter(shared: SharedLimiter, local: RateLimiter, breaker: Breaker): RateLimiter {
  return {
    async take(limit, key) {
      const own = await local.take(limit, key);
      if (!own.isAllowed || !breaker.mayTry()) return own;
      const asked = () => within(limiterWaitMs, "the rate limiter", shared.take(limit, key));
      try {
        const verdict = await asking(breaker, asked);
        return { ...verdict, remaining: verdict.remaining ?? (verdict.isAllowed ? own.remaining : 0) };
      } catch {
        return own;
      }
    },
  };
}

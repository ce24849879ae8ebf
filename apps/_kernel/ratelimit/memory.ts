import type { RateLimiter } from "./port";

interface Bucket {
  tokens: number;
  atMs: number;
}

/** Buckets of one process. Of more than `keysMax` keys the ones that were used least recently start anew. */
export function memoryLimiter(nowMs: () => number = Date.now, keysMax = 100_000): RateLimiter {
  const buckets = new Map<string, Bucket>();
  return {
    async take({ name, perSecond, burst }, key) {
      const id = `${name}:${key}`;
      const now = nowMs();
      const known = buckets.get(id);
      // a clock that was set back gives nothing and takes nothing
      const elapsedMs = known ? Math.max(0, now - known.atMs) : 0;
      const filled = known ? Math.min(burst, known.tokens + (elapsedMs * perSecond) / 1000) : burst;
      const isAllowed = filled >= 1;
      const tokens = isAllowed ? filled - 1 : filled;
      buckets.delete(id);
      buckets.set(id, { tokens, atMs: now });
      if (buckets.size > keysMax) buckets.delete(buckets.keys().next().value!);
      return { isAllowed, remaining: Math.floor(tokens) };
    },
  };
}

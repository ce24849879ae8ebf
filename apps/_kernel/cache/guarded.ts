import { asking, type Breaker } from "../breaker";
import { within } from "../concurrency";
import type { Cache } from "./port";

/** Longest time that a request waits for a shared cache. */
export const cacheWaitMs = 50;

/**
 * A shared cache that nobody depends on: while it fails, hangs or is not asked because it did so before, nothing is kept
 * in it. Only `forget` rejects then, since what is kept must not be read when the cache is back.
 */
export function guardedCache(shared: Cache, breaker: Breaker): Cache {
  const asked = <T>(work: () => Promise<T>) =>
    asking(breaker, () => within(cacheWaitMs, "the cache", work()));
  return {
    async read(group, keys) {
      const nothing = { generation: "", values: keys.map(() => undefined) };
      return breaker.mayTry() ? asked(() => shared.read(group, keys)).catch(() => nothing) : nothing;
    },
    async write(group, generation, values, ttlMs) {
      if (generation === "" || breaker.state === "open") return;
      await asked(() => shared.write(group, generation, values, ttlMs)).catch(() => {});
    },
    forget: (group) => asked(() => shared.forget(group)),
  };
}

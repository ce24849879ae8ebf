import { fault } from "@mall/kernel/fault";

/** Runs work if there is room for it. */
export type Admit = <T>(work: () => Promise<T>) => Promise<T>;

/**
 * Bounds how many works run at once. What comes beyond `limit` is shed at once with OVERLOADED (503, Retry-After 1 s)
 * before it has done anything: a queue would only make everybody wait.
 */
export function admission(limit: number): Admit {
  let running = 0;
  return async (work) => {
    if (running >= limit) {
      throw fault(
        "unavailable",
        "OVERLOADED",
        "More checkouts at once than this mall takes; nothing was reserved, try again.",
        { retryAfterSeconds: 1 },
      );
    }
    running++;
    try {
      return await work();
    } finally {
      running--;
    }
  };
}

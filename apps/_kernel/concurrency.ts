/** Rejects after `ms` when `work` has not settled; the work itself goes on. */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The value of a work that may fail, or undefined when it does or takes longer than `ms`; the work itself goes on. */
export const soon = <T>(ms: number, work: Promise<T>): Promise<T | undefined> =>
  within(ms, "it", work).catch(() => undefined);

/** Runs `work` on every item, at most `atOnce` at the same time; rejects with the first failure. */
export async function eachBounded<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  const queue = items.entries();
  const runner = async () => {
    for (const [index, item] of queue) await work(item, index);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, runner));
}

/** Runs work when there is room for it. */
export type Turnstile = <T>(work: () => Promise<T>) => Promise<T>;

/** Who may wait at a turnstile, and what those are told who come when all waiting places are taken. */
export interface Queue {
  waitingMax: number;
  refuse(): Error;
}

/**
 * Lets at most `atOnce` works, which may change, run at the same time; the others wait in order of arrival, as many as
 * `queue` allows.
 */
export function turnstile(atOnce: number | (() => number), queue?: Queue): Turnstile {
  const limit = typeof atOnce === "number" ? () => atOnce : atOnce;
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (running < limit()) running++;
    else if (queue && waiting.length >= queue.waitingMax) throw queue.refuse();
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}

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

/** Longer than any request lasts: a work that is not over by then was cut off by its runtime, as Workers do, and never ends. */
const heldMsMax = 120_000;

/**
 * Lets at most `atOnce` works, which may change, run at the same time; the others wait in order of arrival, as many as
 * `queue` allows.
 */
export function turnstile(
  atOnce: number | (() => number),
  queue?: Queue,
  nowMs: () => number = Date.now,
): Turnstile {
  const limit = typeof atOnce === "number" ? () => atOnce : atOnce;
  /** Since when each place is taken. */
  const taken = new Map<object, number>();
  const waiting: { place: object; go: () => void }[] = [];
  const fill = () => {
    for (const [place, sinceMs] of taken) if (nowMs() - sinceMs > heldMsMax) taken.delete(place);
    while (waiting.length > 0 && taken.size < limit()) {
      const { place, go } = waiting.shift()!;
      taken.set(place, nowMs());
      go();
    }
  };
  return async (work) => {
    const place = {};
    fill();
    if (taken.size < limit()) taken.set(place, nowMs());
    else if (queue && waiting.length >= queue.waitingMax) throw queue.refuse();
    else await new Promise<void>((go) => waiting.push({ place, go }));
    try {
      return await work();
    } finally {
      taken.delete(place);
      fill();
    }
  };
}

/** The most attempts at an event that its consumer refuses, before it becomes a dead letter. */
export const attemptsMax = 10;

/** Milliseconds before the next attempt at an event that was refused `attempts` times: 1, 2, 4 … 512 × `backoffMs`. */
export const refusedDelayMs = (attempts: number, backoffMs: number): number =>
  backoffMs * 2 ** Math.min(attempts - 1, 9);

const longAwayMs = 24 * 3600 * 1000;

/**
 * Milliseconds before the next attempt at a consumer who is away: short, since the end of an outage must be noticed
 * within seconds, and spread, since everybody waits for it. An event that is a day old is tried more rarely, but never
 * given up: that nobody was there says nothing about it.
 */
export const awayDelayMs = (eventTime: string, nowMs: number, backoffMs: number): number =>
  backoffMs * (nowMs - Date.parse(eventTime) < longAwayMs ? 2 : 150) * (1 + Math.random());

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

/** Runs `work` on every item, at most `atOnce` at the same time. */
export async function eachBounded<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  const runner = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, runner));
}

/** Lets at most `atOnce` works run at the same time; the others wait for their turn. */
export function turnstile(atOnce: number): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (running >= atOnce) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}

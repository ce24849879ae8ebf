/** The instant so many seconds after another. */
export const later = (from: Date, seconds: number): Date => new Date(from.getTime() + seconds * 1000);

/** Does something once a minute of the clock. */
export function eachMinute(clock: () => Date, work: (now: Date) => Promise<unknown>): () => Promise<void> {
  let dueMs = 0;
  return async () => {
    const now = clock();
    if (now.getTime() < dueMs) return;
    dueMs = now.getTime() + 60_000;
    await work(now);
  };
}

const jobs: (() => Promise<void>)[] = [];

/** Runs after the last test of the process; in the opposite order of the calls. */
export const atEnd = (job: () => Promise<void>): void => void jobs.push(job);

/** Runs what was left for the end; called by the test preload. */
export async function runCleanup(): Promise<void> {
  for (const job of jobs.splice(0).reverse()) await job();
}

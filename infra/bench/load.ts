export interface Measured {
  perSecond: number;
  p50Ms: number;
  p95Ms: number;
}

/** Runs `job` in `connections` closed loops for `seconds`; each job must throw when it did not do what it should. */
export async function measure(
  job: () => Promise<void>,
  connections: number,
  seconds: number,
): Promise<Measured> {
  const latencies: number[] = [];
  const startMs = performance.now();
  const endMs = startMs + seconds * 1000;
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (performance.now() < endMs) {
        const beganMs = performance.now();
        await job();
        latencies.push(performance.now() - beganMs);
      }
    }),
  );
  const elapsedSeconds = (performance.now() - startMs) / 1000;
  latencies.sort((a, b) => a - b);
  const at = (share: number) =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0;
  return { perSecond: latencies.length / elapsedSeconds, p50Ms: at(0.5), p95Ms: at(0.95) };
}

/** A job that fetches a page and reads it. */
export const get = (url: string) => async (): Promise<void> => {
  const response = await fetch(url);
  await response.arrayBuffer();
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
};

export const median = (values: number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

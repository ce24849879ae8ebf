import { soon } from "./concurrency";

/** Every metric by its name: what it tells, and whether it only grows. Names and labels follow Prometheus's conventions. */
const metrics = {
  mall_http_requests_total: ["counter", "Requests that the gateway answered, by route and status."],
  mall_rpcs_total: [
    "counter",
    "RPCs that reached their handler's interceptors, by the code they ended with.",
  ],
  mall_cache_reads_total: [
    "counter",
    "Reads of a cache: hit, stale (served because its source is away), miss.",
  ],
  mall_attempts_total: [
    "counter",
    "Requests sent to an instance of a service, and which of them were repetitions.",
  ],
  mall_ejections_total: ["counter", "Times an instance of a service was put out because it failed."],
  mall_breaker_open: ["gauge", "1 while a dependency is hardly asked, because it failed again and again."],
  mall_outbox_waiting: ["gauge", "Events that nobody has taken yet."],
  mall_outbox_oldest_seconds: ["gauge", "Age of the oldest of them; 0 when there is none."],
} as const satisfies Record<string, readonly ["counter" | "gauge", string]>;

export type MetricName = keyof typeof metrics;
/** Values of a small known set each: never an id, an address or a text of a client. */
export type Labels = Readonly<Record<string, string>>;

/** Counts what a process does, for operators. */
export interface Metrics {
  count(name: MetricName, labels: Labels, by?: number): void;
  /** Reads a value whenever somebody looks; the last reader of the same labels counts. */
  gauge(name: MetricName, labels: Labels, read: () => number | Promise<number>): void;
}

/** Metrics that can be looked at. */
export interface ProcessMetrics extends Metrics {
  /** All of them in Prometheus's text format 0.0.4. A gauge that cannot be read is left out. */
  text(): Promise<string>;
}

const escaped = (text: string) => text.replace(/[\\\n"]/g, (one) => (one === "\n" ? "\\n" : `\\${one}`));

const labelsText = (labels: Labels): string => {
  const parts = Object.keys(labels)
    .sort()
    .map((key) => `${key}="${escaped(labels[key]!)}"`);
  return parts.length > 0 ? `{${parts.join(",")}}` : "";
};

/** Longest time that a gauge is waited for. */
const gaugeWaitMs = 1_000;

type Gauge = () => number | Promise<number>;

/** What gauges tell now; undefined for one that cannot, or not soon. */
const valuesOf = (gauges: ReadonlyMap<string, Gauge>): Promise<(readonly [string, number | undefined])[]> =>
  Promise.all(
    [...gauges].map(
      async ([key, read]) => [key, await soon(gaugeWaitMs, Promise.resolve().then(read))] as const,
    ),
  );

/**
 * The metrics of a process. prom-client, which would do the same, needs parts of Node that workerd lacks, and what is
 * counted is counted in code that both run.
 */
export function processMetrics(): ProcessMetrics {
  const counters = new Map<MetricName, Map<string, number>>();
  const gauges = new Map<MetricName, Map<string, Gauge>>();
  const of = <T>(all: Map<MetricName, Map<string, T>>, name: MetricName) => {
    const known = all.get(name) ?? new Map<string, T>();
    all.set(name, known);
    return known;
  };
  return {
    count(name, labels, by = 1) {
      const own = of(counters, name);
      const key = labelsText(labels);
      own.set(key, (own.get(key) ?? 0) + by);
    },
    gauge: (name, labels, read) => void of(gauges, name).set(labelsText(labels), read),
    async text() {
      const lines: string[] = [];
      // all at once: whoever looks waits for the slowest, not for each
      const read = new Map([...gauges].map(([name, own]) => [name, valuesOf(own)]));
      for (const [name, [type, help]] of Object.entries(metrics) as [
        MetricName,
        readonly [string, string],
      ][]) {
        const values = (await read.get(name)) ?? [];
        const samples = [...(counters.get(name) ?? []), ...values].filter(([, value]) => value !== undefined);
        if (samples.length === 0) continue;
        lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
        for (const [key, value] of samples) lines.push(`${name}${key} ${value}`);
      }
      return `${lines.join("\n")}\n`;
    },
  };
}

/** The same metrics, with labels that all have. */
export const labelled = (inner: Metrics, own: Labels): Metrics => ({
  count: (name, labels, by) => inner.count(name, { ...own, ...labels }, by),
  gauge: (name, labels, read) => inner.gauge(name, { ...own, ...labels }, read),
});

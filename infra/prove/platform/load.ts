import type { Random } from "../../random";
import type { FrontDoor } from "./front-door";

/** One request of the load; times are milliseconds of performance.now(). */
export interface Sample {
  /** Deed, method and path. */
  what: string;
  deed: string;
  sentMs: number;
  tookMs: number;
  /** Why it failed; undefined when it was answered as it should be. */
  failure?: string;
}

export interface SendOptions {
  headers?: Record<string, string>;
  body?: unknown;
  /** Statuses of success, 200 when absent. */
  expected?: readonly number[];
}

/** One request; rejects with Refused when it is not answered as it should be. */
export type Send = <T = unknown>(method: string, path: string, options?: SendOptions) => Promise<T>;

/** What customers do, and how often of all: one request or a few in a row. */
export interface Deed {
  name: string;
  share: number;
  /** How many requests it is. */
  requests: number;
  run(send: Send): Promise<void>;
}

/** The request failed, which is noted already; what should follow it does not happen. */
export class Refused extends Error {}

/** Requests that come at a steady pace, whether or not the mall keeps up. */
export interface Load {
  readonly samples: readonly Sample[];
  /** Resolves when all that was begun has ended. Rejects with what a deed met that was no refusal. */
  stop(): Promise<void>;
}

export interface LoadOptions {
  door: FrontDoor;
  /** Requests a second, in deeds that begin at even intervals. */
  perSecond: number;
  deeds: readonly Deed[];
  random: Random;
  /** Milliseconds that each request is given; the mall is told. */
  deadlineMs: number;
}

function chosen(deeds: readonly Deed[], random: Random): Deed {
  let point = random.next() * deeds.reduce((sum, { share }) => sum + share, 0);
  for (const deed of deeds) {
    point -= deed.share;
    if (point < 0) return deed;
  }
  return deeds[0]!;
}

const placeless = (path: string): string => path.replace(/[a-z]+_[0-9a-z]{26}/g, "{id}").split("?")[0]!;

/** Sends requests of one deed and notes what became of them. */
function sender({ door, deadlineMs }: LoadOptions, deed: string, note: (sample: Sample) => void): Send {
  return async (method, path, { headers, body, expected = [200] } = {}) => {
    const sentMs = performance.now();
    const what = `${deed}: ${method} ${placeless(path)}`;
    const end = (failure?: string) =>
      note({ what, deed, sentMs, tookMs: performance.now() - sentMs, failure });
    const type: Record<string, string> = body === undefined ? {} : { "content-type": "application/json" };
    try {
      const response = await door.send(path, {
        method,
        headers: { ...type, "connect-timeout-ms": String(deadlineMs), ...headers },
        body: body === undefined ? undefined : JSON.stringify(body),
        // later than the mall's own limit, so that an answer which is late is seen to be
        signal: AbortSignal.timeout(2 * deadlineMs),
      });
      const text = await response.text();
      if (expected.includes(response.status)) {
        end();
        return JSON.parse(text);
      }
      end(`${response.status} ${text.slice(0, 300)}`);
    } catch (error) {
      end(String(error));
    }
    throw new Refused(what);
  };
}

/** Begins. */
export function startLoad(options: LoadOptions): Load {
  const { perSecond, deeds, random } = options;
  const samples: Sample[] = [];
  const going = new Set<Promise<void>>();
  const bugs: unknown[] = [];
  const begin = () => {
    const deed = chosen(deeds, random);
    const work = deed
      .run(sender(options, deed.name, (sample) => samples.push(sample)))
      .catch((error) => {
        if (!(error instanceof Refused)) bugs.push(error);
      })
      .finally(() => going.delete(work));
    going.add(work);
  };
  const sum = (of: (deed: Deed) => number) => deeds.reduce((total, deed) => total + of(deed), 0);
  const deedsPerSecond = (perSecond * sum(({ share }) => share)) / sum((deed) => deed.share * deed.requests);
  const startedMs = performance.now();
  let begun = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - startedMs) / 1000) * deedsPerSecond;
    for (; begun < due; begun++) begin();
  }, 5);
  return {
    samples,
    async stop() {
      clearInterval(timer);
      await Promise.all(going);
      if (bugs.length > 0) throw bugs[0];
    },
  };
}

/** The failures of a load by what was asked, a few words each. */
export const failuresOf = (samples: readonly Sample[]): string[] =>
  samples.flatMap(({ what, failure }) => (failure === undefined ? [] : [`${what}: ${failure}`]));

/** The time within which this part of the requests was answered, in milliseconds. */
export function percentile(samples: readonly Sample[], part: number): number {
  const times = samples.map(({ tookMs }) => tookMs).toSorted((a, b) => a - b);
  return Math.round(times[Math.min(times.length - 1, Math.floor(times.length * part))] ?? 0);
}

import type { Log } from "./log";
import type { Metrics } from "./metrics";

/** Whether a dependency is asked at all. */
export type BreakerState = "closed" | "open";

/** Keeps what fails again and again from being asked, and from being waited for, by everybody. */
export interface Breaker {
  readonly state: BreakerState;
  /** Whether `mayTry` would say yes; for those who are not sure yet that they will ask. */
  readonly isDue: boolean;
  /** Whether to ask now. While it is open, one in `pauseMs` may, to find out whether it is well again. */
  mayTry(): boolean;
  succeeded(): void;
  failed(): void;
}

export interface BreakerOptions {
  /** Failures in a row that open it. */
  failuresMax: number;
  pauseMs: number;
  onChange?(state: BreakerState): void;
  nowMs?(): number;
}

/**
 * A circuit breaker that holds no promise: with cockatiel the others wait for the request that tries, which workerd
 * forbids, and one that is cut off while it tries keeps everybody out for good.
 */
export function breaker({ failuresMax, pauseMs, onChange, nowMs = Date.now }: BreakerOptions): Breaker {
  let failures = 0;
  let state: BreakerState = "closed";
  let nextTryMs = 0;
  const become = (next: BreakerState) => {
    if (state === next) return;
    state = next;
    onChange?.(next);
  };
  const isDue = () => state === "closed" || nowMs() >= nextTryMs;
  return {
    get state() {
      return state;
    },
    get isDue() {
      return isDue();
    },
    mayTry() {
      if (!isDue()) return false;
      nextTryMs = nowMs() + pauseMs;
      return true;
    },
    succeeded() {
      failures = 0;
      become("closed");
    },
    failed() {
      failures++;
      if (failures < failuresMax) return;
      nextTryMs = nowMs() + pauseMs;
      become("open");
    },
  };
}

/** What an error says about a dependency; undefined when it says nothing. */
export type SignOf = (error: unknown, elapsedMs: number) => "away" | "well" | undefined;

/** Asks a dependency, and tells its breaker how that went. */
export async function asking<T>(
  breaker: Breaker,
  ask: () => Promise<T>,
  signOf: SignOf = () => "away",
): Promise<T> {
  const startedMs = performance.now();
  try {
    const answer = await ask();
    breaker.succeeded();
    return answer;
  } catch (error) {
    const sign = signOf(error, performance.now() - startedMs);
    if (sign === "away") breaker.failed();
    if (sign === "well") breaker.succeeded();
    throw error;
  }
}

/** Where operators see what a breaker does. */
export interface Watch {
  log: Log;
  metrics: Metrics;
}

/** A breaker whose changes are logged, and whose state is the metric `mall_breaker_open` of the dependency. */
export function watchedBreaker(
  { log, metrics }: Watch,
  dependency: string,
  options: Omit<BreakerOptions, "onChange">,
): Breaker {
  const onChange = (state: BreakerState) => log("warn", "breaker changed", { dependency, state });
  const made = breaker({ ...options, onChange });
  metrics.gauge("mall_breaker_open", { dependency }, () => (made.state === "open" ? 1 : 0));
  return made;
}

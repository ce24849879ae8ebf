import type { Fault } from "./fault";
import type { CallRules } from "./rules";

/** How often and how patiently a call is repeated. */
export interface Retry {
  /** Most requests of one call, the first one included. */
  attemptsMax: number;
  /** Milliseconds that the first wait is at most; each next one is up to twice as long. */
  firstWaitMs: number;
  /** Most milliseconds of one wait. What asks for more in its Retry-After is not repeated. */
  waitMsMax: number;
  /** A number from 0 to 1. */
  random(): number;
  /** Waits; rejects with the signal's reason when it is aborted meanwhile. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** Waits so many milliseconds, or until the signal ends it. */
function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
  });
}

export const patience: Retry = {
  attemptsMax: 4,
  firstWaitMs: 200,
  waitMsMax: 10_000,
  random: Math.random,
  sleep,
};

/**
 * Milliseconds to wait before a call is repeated after so many requests; undefined when it must not be. Only what the
 * contract calls repeatable is, and only after faults that pass. The wait is random, so that clients which failed
 * together do not come back together; Retry-After is its least.
 */
export function waitMsBefore(
  retry: Retry,
  rules: CallRules,
  fault: Fault,
  requests: number,
): number | undefined {
  if (rules.repeat === "never" || !fault.isPassing || requests >= retry.attemptsMax) return undefined;
  if (fault.retryAfterMs > retry.waitMsMax) return undefined;
  const spread = Math.min(retry.firstWaitMs * 2 ** (requests - 1), retry.waitMsMax);
  return fault.retryAfterMs + retry.random() * spread;
}

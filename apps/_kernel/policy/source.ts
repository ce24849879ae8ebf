import type { GetPolicyResponse } from "@mall/gen/mall/auth/v1/policy_pb";
import { errorFields, type Log } from "../log";
import { type Known, type Policy, policyCopy } from "./policy";

/** Asks for what is not known yet. */
export type LoadPolicy = (known: Known) => Promise<GetPolicyResponse>;

/** The policy as it is now, at most a second old while it can be had; undefined when it never could. */
export type PolicySource = () => Policy | undefined | Promise<Policy | undefined>;

/** Times of a copy, in milliseconds: what is younger than `fresh` is used, older than `stale` is waited for. */
export const policyTimes = { fresh: 750, stale: 900, askAgain: 500, failing: 5_000, poll: 5 };

/** How long one question for the policy may take. */
export const policyTimeoutMs = 500;

interface SourceDeps {
  load: LoadPolicy;
  clock: () => Date;
  background(work: Promise<unknown>): void;
  log: Log;
}

/**
 * A copy of the policy that is asked for on demand. Under load one request in the background asks and none waits; after
 * a pause the first one waits. While nobody answers, the last known copy holds and nobody waits for a better one.
 * Nothing but values is shared among requests, as Workers demand: who waits, looks again on a timer of its own.
 */
export function cachedPolicy({ load, clock, background, log }: SourceDeps): PolicySource {
  const copy = policyCopy();
  const never = Number.NEGATIVE_INFINITY;
  let takenAtMs = never;
  let failedAtMs = never;
  let askingSinceMs = never;

  async function ask(): Promise<void> {
    const atMs = clock().getTime();
    askingSinceMs = atMs;
    try {
      copy.merge(await load(copy.known));
      takenAtMs = atMs;
    } catch (error) {
      failedAtMs = clock().getTime();
      log("warn", "the policy cannot be had", errorFields(error));
    } finally {
      askingSinceMs = never;
    }
  }

  async function untilAsked(): Promise<void> {
    for (
      let waitedMs = 0;
      askingSinceMs !== never && waitedMs < policyTimeoutMs;
      waitedMs += policyTimes.poll
    )
      await new Promise((resolve) => setTimeout(resolve, policyTimes.poll));
  }

  const lastKnown = () => (takenAtMs === never ? undefined : copy);

  return () => {
    const nowMs = clock().getTime();
    // a clock that was set back makes everything old
    const msSince = (thenMs: number) => Math.abs(nowMs - thenMs);
    const ageMs = msSince(takenAtMs);
    if (ageMs < policyTimes.fresh) return copy;
    // one that was cut off asks for no longer than an answer may take
    const isAsking = msSince(askingSinceMs) < policyTimeoutMs;
    const isDue = !isAsking && msSince(failedAtMs) >= policyTimes.askAgain;
    const isFailing = failedAtMs > takenAtMs && msSince(failedAtMs) < policyTimes.failing;
    if (takenAtMs !== never && (ageMs < policyTimes.stale || isFailing)) {
      if (isDue) background(ask());
      return copy;
    }
    if (isAsking) return untilAsked().then(lastKnown);
    return isDue ? ask().then(lastKnown) : lastKnown();
  };
}

/** The policy where it is stored: asked for each time, so that a change acts at once. */
export function ownPolicy({ load, log }: Pick<SourceDeps, "load" | "log">): PolicySource {
  const copy = policyCopy();
  return async () => {
    try {
      copy.merge(await load(copy.known));
    } catch (error) {
      log("warn", "the policy cannot be had", errorFields(error));
    }
    return copy.known.revision === undefined ? undefined : copy;
  };
}

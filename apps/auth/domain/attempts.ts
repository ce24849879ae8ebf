import { fault } from "@mall/kernel/fault";

/** How many wrong passwords are taken within a sliding window. */
export interface AttemptWindow {
  most: number;
  seconds: number;
}

/** What attempts are counted by. */
export type AttemptScope = "pair" | "account" | "address";

/**
 * An account from one address; an account from everywhere, which NIST SP 800-63B §5.2.2 bounds by 100; and all accounts
 * from one address. The second does not hold for an address from which the account was signed in to lately: whoever
 * guesses from elsewhere cannot lock its owner out.
 */
export const attemptWindows: Record<AttemptScope, AttemptWindow> = {
  pair: { most: 10, seconds: 15 * 60 },
  account: { most: 100, seconds: 60 * 60 },
  address: { most: 100, seconds: 15 * 60 },
};

/** How long an address counts as its owner's after a sign-in, in seconds. */
export const trustSeconds = 30 * 86_400;

/** Attempts within one window, this one included. */
export interface Counted {
  scope: AttemptScope;
  attempts: number;
  oldest: Date;
  /** Until when the address counts as the owner's. */
  trustedUntil?: Date;
}

/** RATE_LIMITED: the same whether there is such an account or not. */
const tooManyAttempts = (seconds: number) =>
  fault("resource_exhausted", "RATE_LIMITED", "Too many wrong passwords; try again later.", {
    retryAfterSeconds: Math.max(1, Math.ceil(seconds)),
  });

/** Refuses an attempt beyond one of the windows that hold for it. Fault RATE_LIMITED. */
export function checkAttempts(counts: readonly Counted[], now: Date): void {
  const pair = counts.find(({ scope }) => scope === "pair");
  const isOwners = pair?.trustedUntil !== undefined && pair.trustedUntil > now;
  const over = counts.filter(
    ({ scope, attempts }) => attempts > attemptWindows[scope].most && !(scope === "account" && isOwners),
  );
  if (over.length === 0) return;
  const waits = over.map(
    ({ scope, oldest }) => attemptWindows[scope].seconds - (now.getTime() - oldest.getTime()) / 1000,
  );
  throw tooManyAttempts(Math.max(...waits));
}

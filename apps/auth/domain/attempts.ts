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
  /** With a wrong password. */
  wrong: number;
  /** Whose password is being looked at, this one included. */
  pending: number;
  /** The first of the wrong ones. */
  oldest?: Date;
  /** Until when the address counts as the owner's. */
  trustedUntil?: Date;
}

/** RATE_LIMITED: the same whether there is such an account or not. */
const tooManyAttempts = (seconds: number) =>
  fault("resource_exhausted", "RATE_LIMITED", "Too many wrong passwords; try again later.", {
    retryAfterSeconds: Math.max(1, Math.ceil(seconds)),
  });

/** How long to wait before one window has room; 0 when it has. Those in flight may turn out right within a second. */
function waitFor({ scope, wrong, pending, oldest }: Counted, most: number, now: Date): number {
  if (wrong + pending <= most) return 0;
  if (wrong < most || !oldest) return 1;
  return attemptWindows[scope].seconds - (now.getTime() - oldest.getTime()) / 1000;
}

/**
 * Refuses an attempt beyond one of the windows that hold for it; `most` tells what operators have set. Fault
 * RATE_LIMITED.
 */
export function checkAttempts(
  counts: readonly Counted[],
  now: Date,
  most: (scope: AttemptScope) => number = (scope) => attemptWindows[scope].most,
): void {
  const pair = counts.find(({ scope }) => scope === "pair");
  const isOwners = pair?.trustedUntil !== undefined && pair.trustedUntil > now;
  const holding = counts.filter(({ scope }) => !(scope === "account" && isOwners));
  const wait = Math.max(0, ...holding.map((count) => waitFor(count, most(count.scope), now)));
  if (wait > 0) throw tooManyAttempts(wait);
}

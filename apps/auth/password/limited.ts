import { turnstile } from "@mall/kernel/concurrency";
import { fault } from "@mall/kernel/fault";
import { comparablePassword } from "../domain/password";
import type { Passwords } from "./port";

export interface HashLimits {
  /** Most hashes computed at once. */
  concurrentMax: number;
  /** Most requests that wait for one. */
  waitingMax: number;
}

const hashLimits: HashLimits = { concurrentMax: 2, waitingMax: 50 };

/**
 * Bounds what hashing takes from an instance: 2 at once, 50 waiting in order of arrival. Fault OVERLOADED beyond that.
 * Passwords are compared in Unicode form NFKC, so that the same one typed on another keyboard is the same. `background`
 * keeps a hash alive whose client went away: it holds a place that only its end gives back.
 */
export function limitedPasswords(
  passwords: Passwords,
  background: (work: Promise<unknown>) => void,
  limits: HashLimits = hashLimits,
): Passwords {
  const inTurn = turnstile(limits.concurrentMax, {
    waitingMax: limits.waitingMax,
    refuse: () =>
      fault("unavailable", "OVERLOADED", "Too many people are signing in at the moment.", {
        retryAfterSeconds: 2,
      }),
  });

  function take<T>(work: () => Promise<T>): Promise<T> {
    const result = inTurn(work);
    background(result.catch(() => {}));
    return result;
  }

  return {
    ...passwords,
    hash: async (password) => take(() => passwords.hash(comparablePassword(password))),
    verify: async (password, phc) => take(() => passwords.verify(comparablePassword(password), phc)),
  };
}

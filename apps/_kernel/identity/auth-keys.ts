import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from "jose";

/**
 * Times in milliseconds. Keys older than `old` are asked for again beside the requests; a key that is not known is asked
 * about once in `cooldown`, and once in `failing` while auth does not answer, which it must do within `timeout`.
 */
export const keyTimes = { old: 600_000, cooldown: 30_000, failing: 1_000, timeout: 3_000, poll: 5 };

/** Auth did not tell its keys, so nobody knows whether a token is good. */
export class KeysUnavailable extends Error {}

export interface KeySourceDeps {
  fetchAuth: (request: Request) => Promise<Response>;
  clock: () => Date;
  background(work: Promise<unknown>): void;
}

export interface AuthKeys {
  /** The key of a token's header, as jose asks for it. */
  get: JWTVerifyGetKey;
  /** Whether there are any; asks for them when they never were. */
  has(): Promise<boolean>;
}

/**
 * The public keys of auth, cached. A flood of unknown key ids costs one question in a cool-down, whether auth answers or
 * not, and known keys verify as long as auth is away: tokens end by their expiry. Errors: KeysUnavailable; those of jose
 * for a key id that auth does not know. Nothing but values is shared among requests, as Workers demand: who waits, looks
 * again on a timer of its own.
 */
export function authKeys({ fetchAuth, clock, background }: KeySourceDeps): AuthKeys {
  const never = Number.NEGATIVE_INFINITY;
  let known: ReturnType<typeof createLocalJWKSet> | undefined;
  let takenAtMs = never;
  let failedAtMs = never;
  let askingSinceMs = never;
  let failure: unknown;
  // a clock that was set back makes everything old
  const msSince = (thenMs: number) => Math.abs(clock().getTime() - thenMs);
  // one that was cut off asks for no longer than an answer may take
  const isAsking = () => msSince(askingSinceMs) < keyTimes.timeout;
  const isDue = () =>
    !isAsking() && msSince(takenAtMs) >= keyTimes.cooldown && msSince(failedAtMs) >= keyTimes.failing;

  async function ask(): Promise<void> {
    askingSinceMs = clock().getTime();
    try {
      const signal = AbortSignal.timeout(keyTimes.timeout);
      const response = await fetchAuth(new Request("http://auth/.well-known/jwks.json", { signal }));
      if (response.status !== 200)
        throw new Error(`auth answered ${response.status} when asked for its keys`);
      known = createLocalJWKSet((await response.json()) as JSONWebKeySet);
      takenAtMs = clock().getTime();
      failedAtMs = never;
    } catch (error) {
      failedAtMs = clock().getTime();
      failure = error;
    } finally {
      askingSinceMs = never;
    }
  }

  /** Asks when that is due. Waits for an answer on its way, and, as long as there are no keys at all, until it is due. */
  async function renewed(): Promise<void> {
    const isWorthWaiting = () => isAsking() || !known;
    for (let waitedMs = 0; waitedMs < keyTimes.timeout; waitedMs += keyTimes.poll) {
      if (isDue()) return ask();
      if (!isWorthWaiting()) return;
      await new Promise((resolve) => setTimeout(resolve, keyTimes.poll));
    }
  }

  const unavailable = () => new KeysUnavailable("the keys of auth cannot be had", { cause: failure });

  const get: JWTVerifyGetKey = async (header, token) => {
    if (!known) await renewed();
    if (!known) throw unavailable();
    if (msSince(takenAtMs) >= keyTimes.old && isDue()) background(ask());
    try {
      return await known(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await renewed();
      // the key may be one that auth made meanwhile
      if (failedAtMs !== never) throw unavailable();
      return known(header, token);
    }
  };

  async function has(): Promise<boolean> {
    if (!known) await renewed();
    return known !== undefined;
  }

  return { get, has };
}

import { type ApiError, invalidRequest, keyInUse, keyMismatch } from "./api-error";
import type { Books, Remembered } from "./books";

const rememberedMs = 24 * 3600 * 1000;
const lengthMax = 255;

/** A key as a request brings it. */
export interface KeyUse {
  key: string;
  endpoint: string;
  /** The same text for the same parameters. */
  parameters: string;
}

/** What a request with a key may do. */
export type Taken =
  | { kind: "mine" }
  | { kind: "replay"; remembered: Remembered }
  | { kind: "refused"; error: ApiError };

export interface Keys {
  /** Takes a key for the time of the execution, unless it is taken or was used before. */
  take(use: KeyUse): Taken;
  giveBack(key: string): void;
}

/** Idempotency keys: what was executed is in the books, what executes right now is here. */
export function idempotencyKeys(books: Books, clock: () => number): Keys {
  const inUse = new Set<string>();

  function mismatch({ key, endpoint, parameters }: KeyUse, used: Remembered): ApiError | undefined {
    const another = `Try using a key other than '${key}' if you meant to execute a different request.`;
    if (used.endpoint !== endpoint)
      return keyMismatch(
        `Keys for idempotent requests can only be used for the same endpoint they were first used for ('${endpoint}' vs '${used.endpoint}'). ${another}`,
      );
    if (used.parameters !== parameters)
      return keyMismatch(
        `Keys for idempotent requests can only be used with the same parameters they were first used with. ${another}`,
      );
    return undefined;
  }

  return {
    take(use) {
      if (use.key.length > lengthMax)
        return {
          kind: "refused",
          error: invalidRequest(`Idempotency keys can have ${lengthMax} characters.`),
        };
      if (inUse.has(use.key)) return { kind: "refused", error: keyInUse() };
      const used = books.remembered(use.key);
      if (used && clock() - used.atMs < rememberedMs) {
        const error = mismatch(use, used);
        return error ? { kind: "refused", error } : { kind: "replay", remembered: used };
      }
      inUse.add(use.key);
      return { kind: "mine" };
    },
    giveBack: (key) => void inUse.delete(key),
  };
}

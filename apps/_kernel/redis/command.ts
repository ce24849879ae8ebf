import type { RedisAddress } from "./address";

/** Sends one command and resolves with its result. */
export type Command = <T>(...words: readonly (string | number)[]) => Promise<T>;

/**
 * Commands by fetch, a request each, for Workers that need few of them: `@upstash/redis` has all, and weighs 18 KiB.
 * Rejects with what Redis says against a command, and when it does not answer in time.
 */
export function redisCommand({ url, token, timeoutMs }: RedisAddress): Command {
  return async <T>(...words: readonly (string | number)[]) => {
    const response = await fetch(url, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify(words),
      signal: AbortSignal.timeout(timeoutMs),
    });
    const { result, error } = (await response.json()) as { result: T; error?: string };
    if (!response.ok) throw new Error(error ?? `Redis answered ${response.status}`);
    return result;
  };
}

import { incompleteEnv, type UpstashEnv } from "../env";

/** A Redis that is reached over Upstash's REST protocol. */
export interface RedisAddress {
  /** Address of its REST interface. */
  url: string;
  token: string;
  /** Milliseconds one request to it may take. */
  timeoutMs: number;
}

/** The Redis that the environment names, if it does. Throws Error naming what is not set. */
export function upstashOf(env: UpstashEnv, timeoutMs: number): RedisAddress | undefined {
  const { UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token } = env;
  if (!url) return undefined;
  if (!token) throw incompleteEnv(["UPSTASH_REDIS_REST_TOKEN: must be set with UPSTASH_REDIS_REST_URL"]);
  return { url, token, timeoutMs };
}

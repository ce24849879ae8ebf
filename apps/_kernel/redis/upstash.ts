import { Redis } from "@upstash/redis/cloudflare";
import type { RedisAddress } from "./address";

/**
 * Upstash's client, which asks once and does not wait longer than it may. With `isJoined`, what is asked at the same time
 * goes out together; Workers do not let requests wait for each other.
 */
export const upstashRedis = ({ url, token, timeoutMs }: RedisAddress, isJoined = false): Redis =>
  new Redis({
    ...{ url, token, retry: { retries: 0 }, signal: () => AbortSignal.timeout(timeoutMs) },
    ...{ enableAutoPipelining: isJoined, enableTelemetry: false, readYourWrites: false },
    automaticDeserialization: false,
  });

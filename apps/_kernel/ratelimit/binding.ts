import type { SharedLimiter } from "./port";

/** A rate-limit binding of Workers, which counts by key for all isolates of one location. */
export interface RateLimitBinding {
  limit(options: { key: string }): Promise<{ success: boolean }>;
}

/** Name of the binding that counts for a limit. */
export const bindingNameOf = (limitName: string): string => `LIMIT_${limitName.toUpperCase()}`;

/**
 * Counts that all isolates of a location share, by one binding for each limit. A binding knows of a limit what the
 * deployment said, and tells no more than whether it is exceeded; a limit without binding lets everybody in. Use it
 * through `guardedLimiter`, whose local limiter knows what remains.
 */
export const bindingLimiter = (bindings: Readonly<Record<string, unknown>>): SharedLimiter => ({
  async take(limit, key) {
    const binding = bindings[bindingNameOf(limit.name)] as RateLimitBinding | undefined;
    return { isAllowed: !binding || (await binding.limit({ key })).success };
  },
});

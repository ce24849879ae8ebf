/** Characters of the longest token that is looked at; ours have some 500. */
const tokenLengthMax = 8_192;

/** Seconds by which the clocks of two processes may differ. */
const skewSeconds = 60;

/** Whether a token is short enough to be looked at. */
export const isTokenSized = (token: string): boolean => token.length <= tokenLengthMax;

/** Whether a token was issued by now, as clocks go, and lives no longer than its kind does. */
export function isOfLife(payload: object, ttlSecondsMax: number, now: Date): boolean {
  const { iat, exp } = payload as Record<string, unknown>;
  if (typeof iat !== "number" || typeof exp !== "number") return false;
  return iat <= now.getTime() / 1000 + skewSeconds && exp - iat <= ttlSecondsMax;
}

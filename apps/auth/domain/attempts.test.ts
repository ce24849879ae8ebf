import { expect, test } from "bun:test";
import { attemptWindows, type Counted, checkAttempts } from "./attempts";

const now = new Date("2026-01-01T00:00:00Z");
const ago = (seconds: number) => new Date(now.getTime() - seconds * 1000);
const count = (scope: Counted["scope"], attempts: number, more: Partial<Counted> = {}): Counted => ({
  ...{ scope, attempts, oldest: ago(60) },
  ...more,
});

/** Seconds to wait; 0 when the attempt is let in. */
function waitOf(...counts: Counted[]): number {
  try {
    checkAttempts(counts, now);
    return 0;
  } catch (error) {
    return Number((error as { metadata: Headers }).metadata.get("retry-after"));
  }
}

test("each window takes as many as it says, then until its oldest one is over", () => {
  for (const scope of ["pair", "account", "address"] as const) {
    const { most, seconds } = attemptWindows[scope];
    expect(waitOf(count(scope, most))).toBe(0);
    expect(waitOf(count(scope, most + 1))).toBe(seconds - 60);
  }
  expect(waitOf(count("pair", 99), count("account", 199))).toBe(attemptWindows.account.seconds - 60);
});

test("who signed in from here lately is not shut out by those who guess elsewhere, but by wrong passwords from here", () => {
  const trustedUntil = new Date(now.getTime() + 1);
  expect(waitOf(count("pair", 1, { trustedUntil }), count("account", 500))).toBe(0);
  expect(waitOf(count("pair", 1, { trustedUntil: now }), count("account", 500))).toBeGreaterThan(0);
  expect(waitOf(count("pair", 11, { trustedUntil }), count("account", 500))).toBeGreaterThan(0);
  expect(waitOf(count("pair", 1, { trustedUntil }), count("address", 500))).toBeGreaterThan(0);
});

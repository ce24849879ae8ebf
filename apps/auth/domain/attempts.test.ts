import { expect, test } from "bun:test";
import { attemptWindows, type Counted, checkAttempts } from "./attempts";

const now = new Date("2026-01-01T00:00:00Z");
const ago = (seconds: number) => new Date(now.getTime() - seconds * 1000);
/** Wrong attempts, and this one. */
const count = (scope: Counted["scope"], wrong: number, more: Partial<Counted> = {}): Counted => ({
  ...{ scope, wrong, pending: 1, oldest: ago(60) },
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
    expect(waitOf(count(scope, most - 1))).toBe(0);
    expect(waitOf(count(scope, most))).toBe(seconds - 60);
  }
  expect(waitOf(count("pair", 99), count("account", 199))).toBe(attemptWindows.account.seconds - 60);
});

test("those in flight count, but may be right: who comes beyond them tries again in a second", () => {
  const { most } = attemptWindows.pair;
  expect(waitOf(count("pair", 0, { pending: most, oldest: undefined }))).toBe(0);
  expect(waitOf(count("pair", 0, { pending: most + 1, oldest: undefined }))).toBe(1);
  expect(waitOf(count("pair", most - 1, { pending: 2 }))).toBe(1);
});

test("operators say how many", () => {
  expect(() => checkAttempts([count("pair", 2)], now, () => 3)).not.toThrow();
  expect(() => checkAttempts([count("pair", 3)], now, () => 3)).toThrow();
});

test("who signed in from here lately is not shut out by those who guess elsewhere, but by wrong passwords from here", () => {
  const trustedUntil = new Date(now.getTime() + 1);
  expect(waitOf(count("pair", 1, { trustedUntil }), count("account", 500))).toBe(0);
  expect(waitOf(count("pair", 1, { trustedUntil: now }), count("account", 500))).toBeGreaterThan(0);
  expect(waitOf(count("pair", 11, { trustedUntil }), count("account", 500))).toBeGreaterThan(0);
  expect(waitOf(count("pair", 1, { trustedUntil }), count("address", 500))).toBeGreaterThan(0);
});

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { add, allocate, share, subtract, sum, times } from "./money";

const usd = (minor: bigint) => ({ currency: "USD", minor });

/** An amount and weights to split it by, ties and zeros often among them. */
const splits = fc.record({
  minor: fc.oneof(fc.bigInt(-50n, 50n), fc.bigInt(-(2n ** 62n), 2n ** 62n)),
  weights: fc
    .array(fc.oneof(fc.bigInt(0n, 3n), fc.bigInt(0n, 10n ** 6n)), { minLength: 1, maxLength: 20 })
    .filter((weights) => weights.some((weight) => weight > 0n)),
});
const runs = { numRuns: 10_000 };
const size = (n: bigint) => (n < 0n ? -n : n);
const split = (minor: bigint, weights: bigint[]) => allocate(usd(minor), weights).map((part) => part.minor);

describe("money", () => {
  test("adds, subtracts and multiplies whole minor units", () => {
    expect(add(usd(1n), usd(2n))).toEqual(usd(3n));
    expect(subtract(usd(1n), usd(2n))).toEqual(usd(-1n));
    expect(times(usd(1999n), 3)).toEqual(usd(5997n));
    expect(sum("USD", [])).toEqual(usd(0n));
  });

  test("refuses mixed currencies and what int64 cannot hold", () => {
    expect(() => add(usd(1n), { currency: "EUR", minor: 1n })).toThrow("Cannot combine");
    expect(() => times(usd(2n ** 62n), 2)).toThrow("larger than the mall can count");
  });

  test("a share is rounded half up to the minor unit", () => {
    expect(share(usd(1000n), 82_500n)).toEqual(usd(83n));
    expect(share(usd(100n), 5_000n)).toEqual(usd(1n));
    expect(share(usd(100n), 4_999n)).toEqual(usd(0n));
    expect(share(usd(0n), 82_500n)).toEqual(usd(0n));
  });
});

describe("allocation", () => {
  const holds = (property: (minor: bigint, weights: bigint[], parts: bigint[]) => boolean) =>
    fc.assert(
      fc.property(splits, ({ minor, weights }) => property(minor, weights, split(minor, weights))),
      runs,
    );

  test("loses no unit and makes none", () => {
    holds((minor, _, parts) => parts.reduce((a, b) => a + b, 0n) === minor);
  });

  test("gives each part its proportion within less than a unit, and nothing for a weight of 0", () => {
    holds((minor, weights, parts) => {
      const total = weights.reduce((a, b) => a + b, 0n);
      const near = parts.every((part, index) => size(part * total - minor * weights[index]!) < total);
      return near && parts.every((part, index) => weights[index] !== 0n || part === 0n);
    });
  });

  test("gives the larger weight no less, and of equal weights the earlier one no less", () => {
    holds((_, weights, parts) =>
      parts.every((part, i) =>
        parts.every((other, j) => {
          const before = weights[i]! > weights[j]! || (weights[i] === weights[j] && i < j);
          return !before || size(part) >= size(other);
        }),
      ),
    );
  });

  test("of a refund mirrors that of the charge", () => {
    holds((minor, weights, parts) => split(-minor, weights).every((part, index) => part === -parts[index]!));
  });

  test("is by weights that are at least 0 and not all 0", () => {
    for (const weights of [[], [0n, 0n], [2n, -1n]]) expect(() => split(1n, weights)).toThrow(RangeError);
  });
});

test("a share is the nearest minor unit, the one farther from 0 at exactly a half, at every rate", () => {
  const minors = fc.oneof(fc.bigInt(-2_000n, 2_000n), fc.bigInt(-(2n ** 62n), 2n ** 62n));
  const rates = fc.oneof(fc.constantFrom(0n, 500_000n, 1_000_000n), fc.bigInt(0n, 1_000_000n));
  const property = fc.property(minors, rates, (minor, rate) => {
    const rounded = (2n * size(minor) * rate + 1_000_000n) / 2_000_000n;
    return share(usd(minor), rate).minor === (minor < 0n ? -rounded : rounded);
  });
  fc.assert(property, runs);
  expect(() => share(usd(1n), 1_000_001n)).toThrow(RangeError);
});

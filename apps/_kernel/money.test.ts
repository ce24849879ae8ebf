import { describe, expect, test } from "bun:test";
import { add, allocate, share, subtract, sum, times } from "./money";

const usd = (minor: bigint) => ({ currency: "USD", minor });

/** Small seeded generator, so that a failure can be run again. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) % 4294967296;
    return state / 4294967296;
  };
}

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

  test("allocates every unit, near the proportion, in 10,000 random splits", () => {
    const next = random(42);
    for (let round = 0; round < 10_000; round++) {
      const amount = usd(BigInt(Math.floor(next() * 2_000_000)) - 1_000_000n);
      const weights = Array.from({ length: 1 + Math.floor(next() * 8) }, () =>
        BigInt(Math.floor(next() * 1000)),
      );
      weights[0]! += 1n;
      const total = weights.reduce((a, b) => a + b, 0n);
      const parts = allocate(amount, weights);
      expect(sum("USD", parts)).toEqual(amount);
      for (const [index, part] of parts.entries()) {
        const off = part.minor * total - amount.minor * weights[index]!;
        expect(off < 0n ? -off : off).toBeLessThan(Number(total));
      }
    }
  });

  test("a share is rounded half up to the minor unit", () => {
    expect(share(usd(1000n), 82_500n)).toEqual(usd(83n));
    expect(share(usd(100n), 5_000n)).toEqual(usd(1n));
    expect(share(usd(100n), 4_999n)).toEqual(usd(0n));
    expect(share(usd(0n), 82_500n)).toEqual(usd(0n));
  });
});

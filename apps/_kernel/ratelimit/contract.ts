import { describe, expect, test } from "bun:test";
import type { Limit, RateLimiter } from "./port";

let keys = 0;
const newKey = () => `key-${++keys}`;

/** A limit of which nothing comes back while a test runs. */
const still: Limit = { name: "still", perSecond: 0.001, burst: 5 };

/** What every rate limiter must do. */
export function rateLimiterContract(name: string, limiter: () => RateLimiter): void {
  const take = (limit: Limit, key: string) => limiter().take(limit, key);

  async function allowedOf(count: number, limit: Limit, key: string): Promise<number> {
    const verdicts = await Promise.all(Array.from({ length: count }, () => take(limit, key)));
    return verdicts.filter(({ isAllowed }) => isAllowed).length;
  }

  describe(`rate limits by ${name}`, () => {
    test("let a burst in, tell what is left, and refuse what goes beyond", async () => {
      const key = newKey();
      const verdicts = [];
      for (let i = 0; i < 7; i++) verdicts.push(await take(still, key));
      expect(verdicts.map(({ isAllowed }) => isAllowed)).toEqual([
        true,
        true,
        true,
        true,
        true,
        false,
        false,
      ]);
      expect(verdicts.map(({ remaining }) => remaining)).toEqual([4, 3, 2, 1, 0, 0, 0]);
    });

    test("let exactly a burst in when all come at once", async () => {
      expect(await allowedOf(60, still, newKey())).toBe(5);
    });

    test("count each key and each limit by itself", async () => {
      const key = newKey();
      await allowedOf(5, still, key);
      expect((await take(still, key)).isAllowed).toBe(false);
      expect((await take(still, newKey())).isAllowed).toBe(true);
      expect((await take({ ...still, name: "other" }, key)).isAllowed).toBe(true);
    });

    test("give back with time, and never more than a burst", async () => {
      for (const perSecond of [10, 25]) {
        const limit = { name: `filling-${perSecond}`, perSecond, burst: 8 };
        const key = newKey();
        const startedMs = performance.now();
        let allowed = await allowedOf(30, limit, key);
        expect(allowed).toBeGreaterThanOrEqual(8);
        while (performance.now() - startedMs < 1_000) {
          await Bun.sleep(90);
          allowed += await allowedOf(5, limit, key);
        }
        const elapsedSeconds = (performance.now() - startedMs) / 1000;
        // a step of the refill may not be over yet
        expect(allowed).toBeGreaterThanOrEqual(8 + Math.floor((elapsedSeconds - 0.4) * perSecond));
        expect(allowed).toBeLessThanOrEqual(8 + Math.ceil(elapsedSeconds * perSecond));
        await Bun.sleep((1000 * 8) / perSecond + 450);
        expect(await allowedOf(30, limit, key)).toBeWithin(8, 10);
      }
    });

    test("take any text as a key", async () => {
      for (const odd of ["a b", "ü:*?\\\"'\n{x}", "x".repeat(300)]) {
        const key = newKey() + odd;
        expect([await allowedOf(6, still, key), await allowedOf(1, still, `${key}.`)]).toEqual([5, 1]);
      }
    });
  });
}

import { describe, expect, test } from "bun:test";
import type { Cache, Json } from "./port";

let groups = 0;
const newGroup = () => `group-${crypto.randomUUID()}-${++groups}`;

/** What every cache must do. */
export function cacheContract(name: string, cache: () => Cache): void {
  const longMs = 60_000;

  /** Loads and keeps values as a reader does. */
  async function keep(group: string, values: Record<string, Json>, ttlMs = longMs): Promise<void> {
    const { generation } = await cache().read(group, Object.keys(values));
    await cache().write(group, generation, new Map(Object.entries(values)), ttlMs);
  }
  const valuesOf = async (group: string, ...keys: string[]) => (await cache().read(group, keys)).values;

  describe(`a cache by ${name}`, () => {
    test("gives back what JSON can say, in the order of the keys, and nothing for other keys", async () => {
      const group = newGroup();
      const values: Record<string, Json> = {
        text: 'ü:*?\\"\n{x}',
        number: "9007199254740993",
        digits: "12345678901234567890",
        nothing: null,
        no: false,
        list: [1, [2, { a: "b" }]],
        empty: "",
        "odd key:*?{ü}": { deep: { deeper: [] } },
      };
      await keep(group, values);
      const keys = Object.keys(values).reverse();
      expect(await valuesOf(group, ...keys)).toEqual(keys.map((key) => values[key]!));
      expect(await valuesOf(group, "other", "text", "")).toEqual([undefined, values.text, undefined]);
      expect(await valuesOf(newGroup(), "text")).toEqual([undefined]);
      expect(await valuesOf(group)).toEqual([]);
    });

    test("keeps the newest value of a key", async () => {
      const group = newGroup();
      await keep(group, { a: 1, b: 1 });
      await keep(group, { a: 2 });
      expect(await valuesOf(group, "a", "b")).toEqual([2, 1]);
    });

    test("keeps a value no longer than it was told", async () => {
      const group = newGroup();
      await keep(group, { brief: 1 }, 400);
      await keep(group, { long: 2 });
      expect(await valuesOf(group, "brief", "long")).toEqual([1, 2]);
      await Bun.sleep(450);
      expect(await valuesOf(group, "brief", "long")).toEqual([undefined, 2]);
    });

    test("forgets a whole group, and no other", async () => {
      const [group, other] = [newGroup(), newGroup()];
      await keep(group, { a: 1, b: 2 });
      await keep(other, { a: 3 });
      await cache().forget(group);
      expect(await valuesOf(group, "a", "b")).toEqual([undefined, undefined]);
      expect(await valuesOf(other, "a")).toEqual([3]);
      await keep(group, { a: 4 });
      expect(await valuesOf(group, "a", "b")).toEqual([4, undefined]);
      await cache().forget(newGroup());
    });

    test("never gives what somebody began to load before it was forgotten", async () => {
      for (const isKnown of [false, true]) {
        const group = newGroup();
        if (isKnown) await keep(group, { other: 1 });
        const slow = await cache().read(group, ["a"]);
        await cache().forget(group);
        await cache().write(group, slow.generation, new Map([["a", "old"]]), longMs);
        expect(await valuesOf(group, "a")).toEqual([undefined]);
        // nor when others have begun anew since
        await keep(group, { b: 1 });
        await cache().write(group, slow.generation, new Map([["a", "old"]]), longMs);
        expect(await valuesOf(group, "a", "b")).toEqual([undefined, 1]);
      }
    });

    test("gives all who read at once the same generation", async () => {
      const group = newGroup();
      const seen = await Promise.all(Array.from({ length: 20 }, () => cache().read(group, ["a"])));
      expect(new Set(seen.map(({ generation }) => generation)).size).toBe(1);
    });
  });
}

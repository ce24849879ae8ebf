import { describe, expect, test } from "bun:test";
import type { ConfigStore, Revision } from "./port";

const revision = (n: number, values: Record<string, string>): Revision => ({
  ...{ revision: n, at: new Date(Date.UTC(2026, 0, n)), author: "command" },
  ...{ changes: { ...values, "checkout.open": null }, values },
});

/** What every store of the configuration must do; `make` gives an empty one. */
export function configContract(name: string, make: () => Promise<ConfigStore>): void {
  describe(`the configuration by ${name}`, () => {
    test("is nothing before the first change", async () => {
      const store = await make();
      expect(await store.newest()).toBeUndefined();
      expect(await store.find(1)).toBeUndefined();
      expect(await store.list(undefined, 10)).toEqual([]);
    });

    test("keeps every revision as it was given, newest first", async () => {
      const store = await make();
      const all = [revision(1, { "log.level": "debug" }), revision(2, {}), revision(3, { "x.ü": '"\\' })];
      for (const each of all) expect(await store.add(each)).toBe(true);
      expect(await store.newest()).toEqual(all[2]!);
      expect(await store.find(2)).toEqual(all[1]!);
      for (const none of [-1, 0, 4]) expect(await store.find(none)).toBeUndefined();
      expect(await store.list(undefined, 10)).toEqual(all.toReversed());
      expect(await store.list(3, 1)).toEqual([all[1]!]);
      expect(await store.list(1, 10)).toEqual([]);
    });

    test("takes each number once and without gaps", async () => {
      const store = await make();
      expect(await store.add(revision(2, {}))).toBe(false);
      expect(await store.add(revision(1, {}))).toBe(true);
      expect(await store.add(revision(1, { "log.level": "warn" }))).toBe(false);
      expect(await store.add(revision(3, {}))).toBe(false);
      expect(await store.newest()).toEqual(revision(1, {}));
    });

    test("lets one of many at once have a number", async () => {
      const store = await make();
      const attempts = Array.from({ length: 20 }, (_, n) => store.add(revision(1, { n: String(n) })));
      expect((await Promise.all(attempts)).filter(Boolean)).toHaveLength(1);
      expect(await store.list(undefined, 10)).toHaveLength(1);
    });
  });
}

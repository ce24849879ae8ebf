import type { Cache, Json } from "./port";

interface Kept {
  generation: string;
  text: string;
  untilMs: number;
}

/** Values of one process. Of more than `valuesMax` those that were written first are forgotten. */
export function memoryCache(nowMs: () => number = Date.now, valuesMax = 10_000): Cache {
  const generations = new Map<string, string>();
  const kept = new Map<string, Kept>();
  const idOf = (group: string, key: string) => `${group}:${key}`;
  const generationOf = (group: string): string => {
    const known = generations.get(group) ?? crypto.randomUUID();
    generations.set(group, known);
    return known;
  };
  return {
    async read(group, keys) {
      const generation = generationOf(group);
      const values = keys.map((key) => {
        const one = kept.get(idOf(group, key));
        const isGood = one?.generation === generation && nowMs() < one.untilMs;
        return isGood ? (JSON.parse(one.text) as Json) : undefined;
      });
      return { generation, values };
    },
    async write(group, generation, values, ttlMs) {
      if (generation !== generationOf(group)) return;
      for (const [key, value] of values) {
        const id = idOf(group, key);
        kept.delete(id);
        kept.set(id, { generation, text: JSON.stringify(value), untilMs: nowMs() + ttlMs });
        if (kept.size > valuesMax) kept.delete(kept.keys().next().value!);
      }
    },
    async forget(group) {
      generations.delete(group);
    },
  };
}

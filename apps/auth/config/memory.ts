import type { ConfigStore, Revision } from "./port";

/** Keeps the configuration in this process, for tests and trials. */
export function memoryConfig(): ConfigStore {
  const revisions: Revision[] = [];
  return {
    newest: async () => revisions.at(-1),
    find: async (revision) => revisions[revision - 1],
    list: async (before, limit) =>
      revisions
        .slice(0, before === undefined ? undefined : before - 1)
        .reverse()
        .slice(0, limit),
    async add(next) {
      if (next.revision !== revisions.length + 1) return false;
      revisions.push(structuredClone(next));
      return true;
    },
  };
}

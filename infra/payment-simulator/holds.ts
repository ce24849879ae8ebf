import type { Held } from "./control-contract";

export type ReleaseAction = "continue" | "drop";

export interface Holds {
  /** Waits until the request is released. */
  park(request: Omit<Held, "id">): Promise<ReleaseAction>;
  list(): Held[];
  /** Lets go one request, or all. Returns how many. */
  release(which: { id: string } | { all: true }, action: ReleaseAction): number;
  /** Waits until so many are parked; false when the time is over. */
  reached(count: number, timeoutMs: number): Promise<boolean>;
}

/** Requests that wait for somebody to let them go on. */
export function heldRequests(): Holds {
  const parked = new Map<string, { held: Held; go: (action: ReleaseAction) => void }>();
  const watchers = new Set<() => void>();
  let count = 0;

  return {
    park(request) {
      const id = `held_${++count}`;
      const { promise, resolve } = Promise.withResolvers<ReleaseAction>();
      parked.set(id, { held: { id, ...request }, go: resolve });
      for (const look of [...watchers]) look();
      return promise;
    },
    list: () => [...parked.values()].map(({ held }) => held),
    release(which, action) {
      const ids = "id" in which ? [which.id] : [...parked.keys()];
      const found = ids.filter((id) => parked.has(id));
      for (const id of found) {
        parked.get(id)!.go(action);
        parked.delete(id);
      }
      return found.length;
    },
    reached(wanted, timeoutMs) {
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const look = () => parked.size >= wanted && resolve(true);
      const timer = setTimeout(() => resolve(false), timeoutMs);
      watchers.add(look);
      look();
      return promise.finally(() => {
        clearTimeout(timer);
        watchers.delete(look);
      });
    },
  };
}

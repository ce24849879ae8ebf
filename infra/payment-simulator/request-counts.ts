import type { RequestCount } from "./control-contract";
import type { OperationName } from "./operation";

export interface RequestCounts {
  add(operation: OperationName, what: keyof RequestCount): void;
  clear(): void;
  list(): Partial<Record<OperationName, RequestCount>>;
}

/** Counts what was asked. */
export function requestCounts(): RequestCounts {
  const counts = new Map<OperationName, RequestCount>();
  return {
    add(operation, what) {
      const count = counts.get(operation) ?? { received: 0, executed: 0, replayed: 0, faulted: 0 };
      counts.set(operation, { ...count, [what]: count[what] + 1 });
    },
    clear: () => counts.clear(),
    list: () => Object.fromEntries(counts),
  };
}

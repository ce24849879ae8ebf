import type { Entry } from "./ledger";
import type { Event, Kind, Kinds, Stored } from "./objects";

/** About the request that changes something. */
export interface Cause {
  requestId: string | null;
  key: string | null;
  apiVersion: string;
}

/** A change in the making: it sees what it put, nobody else does before it is kept. */
export interface Draft {
  readonly nowSeconds: number;
  get<K extends Kind>(kind: K, id: string): Kinds[K] | undefined;
  /** Newest first, as before the change. */
  list<K extends Kind>(kind: K): Kinds[K][];
  put<T extends Stored>(object: T): T;
  enter(entry: Omit<Entry, "sequence" | "at">): void;
  /** An event about an object as it is now. */
  announce(type: string, object: Stored): void;
  id(prefix: string): string;
}

export type Shelf = { [K in Kind]: Map<string, Kinds[K]> };

/** What a draft came to. */
export interface Drafted {
  objects: Stored[];
  entries: Entry[];
  events: Event[];
}

/** A draft over a shelf, and what it has come to. */
export function openDraft(
  shelf: Shelf,
  entryCount: number,
  nowMs: number,
  newId: (prefix: string) => string,
  cause: Cause,
): { draft: Draft; drafted: () => Drafted } {
  const objects = new Map<string, Stored>();
  const entries: Entry[] = [];
  const nowSeconds = Math.floor(nowMs / 1000);
  const put = <T extends Stored>(object: T): T => {
    objects.set(object.id, object);
    return object;
  };
  const draft: Draft = {
    nowSeconds,
    get: <K extends Kind>(kind: K, id: string) => {
      const own = objects.get(id);
      return own?.object === kind ? (own as Kinds[K]) : (shelf[kind].get(id) as Kinds[K] | undefined);
    },
    list: <K extends Kind>(kind: K) => [...shelf[kind].values()].reverse() as Kinds[K][],
    put,
    enter: (entry) =>
      void entries.push({
        ...entry,
        sequence: entryCount + entries.length + 1,
        at: new Date(nowMs).toISOString(),
      }),
    announce: (type, object) =>
      void put<Event>({
        id: newId("evt_3"),
        object: "event",
        api_version: cause.apiVersion,
        created: nowSeconds,
        data: { object },
        livemode: false,
        pending_webhooks: 0,
        request: { id: cause.requestId, idempotency_key: cause.key },
        type,
      }),
    id: newId,
  };
  const drafted = () => {
    const put = [...objects.values()];
    return { objects: put, entries, events: put.filter((object) => object.object === "event") };
  };
  return { draft, drafted };
}

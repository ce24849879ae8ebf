import type { Delivery, WebhookSettings } from "./control-contract";
import { type Cause, type Draft, openDraft, type Shelf } from "./draft";
import type { Journal } from "./journal";
import type { Entry } from "./ledger";
import type { Event, Kind, Kinds, Stored } from "./objects";
import { idOf } from "./seeded";

/** What a request executed to, and what a repetition of its key is told. */
export interface Remembered {
  endpoint: string;
  parameters: string;
  status: number;
  body: string;
  requestId: string;
  atMs: number;
}

/** What else is kept with a change. */
export interface Additions {
  answer?: { key: string; remembered: Remembered };
  deliveries?: readonly Delivery[];
  webhooks?: WebhookSettings;
}

/** Everything that one request changes: kept together or not at all. */
interface Line extends Additions {
  objects?: readonly Stored[];
  entries?: readonly Entry[];
  idSeed?: string;
  ids?: number;
}

interface State {
  idSeed: string;
  ids: number;
  shelf: Shelf;
  entries: Entry[];
  answers: Map<string, Remembered>;
  deliveries: Map<string, Delivery>;
  webhooks: WebhookSettings | undefined;
}

const emptyState = (idSeed: string, ids: number): State => ({
  idSeed,
  ids,
  shelf: {
    payment_intent: new Map(),
    charge: new Map(),
    refund: new Map(),
    payment_method: new Map(),
    event: new Map(),
  },
  entries: [],
  answers: new Map(),
  deliveries: new Map(),
  webhooks: undefined,
});

function apply(state: State, line: Line): void {
  state.idSeed = line.idSeed ?? state.idSeed;
  state.ids = line.ids ?? state.ids;
  for (const object of line.objects ?? [])
    (state.shelf[object.object] as Map<string, Stored>).set(object.id, object);
  state.entries.push(...(line.entries ?? []));
  if (line.answer) state.answers.set(line.answer.key, line.answer.remembered);
  for (const delivery of line.deliveries ?? []) state.deliveries.set(delivery.id, delivery);
  state.webhooks = line.webhooks ?? state.webhooks;
}

/** Objects, movements of money and answers; what a request changes is written before anybody hears of it. */
export interface Books {
  readonly entries: readonly Entry[];
  readonly deliveries: ReadonlyMap<string, Delivery>;
  readonly webhooks: WebhookSettings | undefined;
  get<K extends Kind>(kind: K, id: string): Kinds[K] | undefined;
  all<K extends Kind>(kind: K): Kinds[K][];
  remembered(key: string): Remembered | undefined;
  newId(prefix: string): string;
  /** Runs a change; when it throws nothing happened. `more` tells what else is kept with it. */
  change<T>(cause: Cause, run: (draft: Draft) => T, more: (result: T, events: Event[]) => Additions): T;
  keep(additions: Additions): void;
  /** Empties the books; ids go on. */
  clear(additions: Additions): void;
  close(): void;
}

/** Opens the books on what a journal holds. `idSeed` names the objects of new books; old ones keep theirs. */
export function openBooks(journal: Journal, idSeed: string, clock: () => number): Books {
  let state = emptyState(idSeed, 0);
  const write = (line: Line) => {
    journal.append(line);
    apply(state, line);
  };
  const newId = (prefix: string) => idOf(prefix, state.idSeed, ++state.ids);

  for (const line of journal.earlier) apply(state, line as Line);
  if (journal.earlier.length === 0) write({ idSeed, ids: 0 });

  return {
    get entries() {
      return state.entries;
    },
    get deliveries() {
      return state.deliveries;
    },
    get webhooks() {
      return state.webhooks;
    },
    get: <K extends Kind>(kind: K, id: string) => state.shelf[kind].get(id) as Kinds[K] | undefined,
    all: <K extends Kind>(kind: K) => [...state.shelf[kind].values()] as Kinds[K][],
    remembered: (key) => state.answers.get(key),
    newId,
    change(cause, run, more) {
      const { ids } = state;
      const { draft, drafted } = openDraft(state.shelf, state.entries.length, clock(), newId, cause);
      try {
        const result = run(draft);
        const { objects, entries, events } = drafted();
        const additions = more(result, events);
        if (objects.length > 0 || additions.answer) write({ ids: state.ids, objects, entries, ...additions });
        return result;
      } catch (error) {
        state.ids = ids;
        throw error;
      }
    },
    keep: (additions) => write({ ids: state.ids, ...additions }),
    clear(additions) {
      state = emptyState(state.idSeed, state.ids);
      journal.clear();
      write({ idSeed: state.idSeed, ids: state.ids, ...additions });
    },
    close: () => journal.close(),
  };
}

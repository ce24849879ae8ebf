import { AsyncLocalStorage } from "node:async_hooks";
import { Code, ConnectError } from "@connectrpc/connect";

/** What is done for one caller, who may go away. */
interface Work {
  signal: AbortSignal;
  /** Whether a statement that begins after the caller has gone is refused. */
  refusesNext: boolean;
  running: Set<Cancellable>;
  isOver: boolean;
}

/** A query of postgres.js; `state` is set once it is sent, `active` while the database works on it. */
interface Cancellable extends PromiseLike<unknown> {
  cancel(): unknown;
  state?: unknown;
  active?: boolean;
}

/**
 * Whether postgres.js (3.4.9) may cancel a query. One that was sent behind another on the same connection it would take
 * out of its list although the database still answers it, and give that answer to the next query, of somebody else.
 */
const mayBeCancelled = ({ state, active }: Cancellable): boolean => !state || Boolean(active);

const currentWork = new AsyncLocalStorage<Work | undefined>();

/**
 * Runs work whose statements are cancelled in the database when its caller goes away or has no more time. Clean-up
 * that follows runs as usual, unless `refusesNext` says that there is none: then nothing more begins. What the work
 * leaves to the background is not touched once it is over.
 */
export async function cancellable<T>(
  signal: AbortSignal,
  { refusesNext }: { refusesNext: boolean },
  run: () => Promise<T>,
): Promise<T> {
  const work: Work = { signal, refusesNext, running: new Set(), isOver: false };
  const cancel = () => {
    for (const query of work.running)
      if (mayBeCancelled(query)) Promise.resolve(query.cancel()).catch(() => {});
  };
  signal.addEventListener("abort", cancel, { once: true });
  try {
    return await currentWork.run(work, run);
  } finally {
    work.isOver = true;
    signal.removeEventListener("abort", cancel);
  }
}

/** Runs what must not end with the caller: work that others wait for, too, or that goes on after the answer. */
export const uncancelled = <T>(run: () => T): T => currentWork.run(undefined, run);

/** Aborted when the caller of the current work goes away; undefined where nobody waits for the work, or no more. */
export function signalOfCaller(): AbortSignal | undefined {
  const work = currentWork.getStore();
  return work && !work.isOver ? work.signal : undefined;
}

/** Whether the caller of the current work has gone. */
export const isCallerGone = (): boolean => signalOfCaller()?.aborted ?? false;

/** A query under the eye of the current work, if there is one. Throws canceled when nothing may begin any more. */
export function watched<Q extends Cancellable>(start: () => Q): Q {
  const work = currentWork.getStore();
  if (!work || work.isOver) return start();
  if (work.refusesNext && work.signal.aborted) throw new ConnectError("the caller has gone", Code.Canceled);
  const query = start();
  work.running.add(query);
  const end = () => void work.running.delete(query);
  query.then(end, end);
  return query;
}

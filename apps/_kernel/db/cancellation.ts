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

/** A query of postgres.js. */
interface Cancellable extends PromiseLike<unknown> {
  /** Whether the server works on it now. */
  readonly active?: boolean;
  cancel(): unknown;
}

const lookAgainMs = 10;

/**
 * Cancels a query as soon as the server works on it. Not before: of one that stands behind others on its connection the
 * driver would forget that an answer comes, and take it for the answer to the next one.
 */
function cancelInTurn(query: Cancellable, isRunning: () => boolean): void {
  if (!isRunning()) return;
  if (query.active) Promise.resolve(query.cancel()).catch(() => {});
  else setTimeout(cancelInTurn, lookAgainMs, query, isRunning);
}

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
    for (const query of work.running) cancelInTurn(query, () => work.running.has(query));
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

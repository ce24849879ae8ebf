import type { Db } from "../db/client";
import { errorFields, type Log } from "../log";
import type { ServiceName } from "../topology";
import type { Outbox, Taken, Unpublished } from "./outbox";
import type { EventBus, Failure } from "./port";
import { attemptsMax, awayDelayMs, refusedDelayMs } from "./timing";

/** Longer than one batch can take; an event that a crash left taken goes out again after it. */
const leaseSeconds = 15;

/** Runs of one process for the same consumers at once; what comes beyond is done by those. */
const runsMax = 4;

export interface RelayParts {
  db: Db;
  outbox: Outbox;
  bus: EventBus;
  clock: () => Date;
  log: Log;
  /** Milliseconds before the second attempt; see refusedDelayMs. */
  backoffMs: number;
}

/** Publishes due events, those for `consumers` only if these are named. */
export type Relay = (consumers?: readonly ServiceName[]) => Promise<void>;

/** Runs for one group of consumers in this process. */
interface Lane {
  startedMs: number[];
  isAgainDue: boolean;
}

/**
 * Publishes the due events of an outbox, at least once each, until none is left. Safe to run in many processes and at
 * any moment. Where publishing waits for the consumer, each consumer has a lane of its own. An event that is refused
 * 10 times becomes a dead letter; while nobody is there to take it, it waits.
 */
export function createRelay(parts: RelayParts): Relay {
  const { outbox, bus } = parts;
  const lanes = new Map<string, Lane>();
  return async (consumers = outbox.consumers) => {
    if (consumers.length === 0) return;
    const groups = bus.isDirect ? consumers.map((name) => [name]) : [outbox.consumers];
    await Promise.all(
      groups.map((group) => {
        const key = group.join();
        const lane = lanes.get(key) ?? { startedMs: [], isAgainDue: false };
        lanes.set(key, lane);
        return inLane(lane, parts, group);
      }),
    );
  };
}

async function inLane(lane: Lane, parts: RelayParts, group: readonly ServiceName[]): Promise<void> {
  const startedMs = parts.clock().getTime();
  // a run that its runtime cut off counts no longer than what it had taken
  lane.startedMs = lane.startedMs.filter((at) => startedMs - at < leaseSeconds * 1000);
  if (lane.startedMs.length >= runsMax) {
    lane.isAgainDue = true;
    return;
  }
  lane.startedMs.push(startedMs);
  try {
    do {
      lane.isAgainDue = false;
      await drain(parts, group);
    } while (lane.isAgainDue);
  } finally {
    const at = lane.startedMs.indexOf(startedMs);
    if (at >= 0) lane.startedMs.splice(at, 1);
  }
}

/** Publishes batch after batch until nothing is due or nobody is there to take it. */
async function drain(parts: RelayParts, group: readonly ServiceName[]): Promise<void> {
  const { db, outbox, bus, clock, log } = parts;
  for (;;) {
    const taken = await outbox.take(db, clock(), group, leaseSeconds);
    if (taken.length === 0) return;
    const deliveries = taken.map(({ consumer, event, notBefore }) => ({ consumer, event, notBefore }));
    const failures = await bus
      .publish(deliveries)
      .catch((error: unknown) => deliveries.map((delivery): Failure => ({ delivery, error, kind: "away" })));
    const failed = new Map(failures.map((failure) => [failure.delivery.event.id, failure]));
    const published = taken.filter(({ event }) => !failed.has(event.id));
    const unpublished = taken.flatMap((one) => {
      const failure = failed.get(one.event.id);
      return failure ? [judge(parts, one, failure)] : [];
    });
    await outbox.settle(db, published, unpublished, clock());
    report(log, unpublished, failures);
    const isNobodyThere = failures.length === taken.length && failures.every(({ kind }) => kind === "away");
    if (taken.length < 50 || isNobodyThere) return;
  }
}

/** Whether and when an event is tried again. */
function judge({ clock, backoffMs }: RelayParts, taken: Taken, { kind, error }: Failure): Unpublished {
  const now = clock().getTime();
  const text = error instanceof Error ? error.message : String(error);
  const retry = (afterMs: number, counts: boolean): Unpublished => ({
    taken,
    error: text,
    counts,
    dueAt: new Date(now + afterMs),
  });
  const dead: Unpublished = { taken, error: text, counts: true };
  if (kind === "malformed") return dead;
  if (kind === "away") return retry(awayDelayMs(taken.event.time, now, backoffMs), false);
  return taken.attempts < attemptsMax ? retry(refusedDelayMs(taken.attempts, backoffMs), true) : dead;
}

/** One line for each event that was refused, one for all whose consumer was away. */
function report(log: Log, unpublished: readonly Unpublished[], failures: readonly Failure[]): void {
  const away = failures.filter(({ kind }) => kind === "away");
  if (away.length > 0) {
    const consumers = [...new Set(away.map(({ delivery }) => delivery.consumer))];
    log("warn", "nobody takes events", { consumers, events: away.length, ...errorFields(away[0]!.error) });
  }
  for (const { taken, dueAt, counts, error } of unpublished) {
    if (dueAt && !counts) continue;
    const { consumer, attempts, event } = taken;
    log(dueAt ? "warn" : "error", dueAt ? "event refused" : "event is a dead letter", {
      event: event.id,
      type: event.type,
      consumer,
      attempts,
      error,
    });
  }
}

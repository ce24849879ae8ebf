import type { Db } from "../db/client";
import { errorFields, type Log } from "../log";
import type { Outbox } from "./outbox";
import type { EventBus } from "./port";

const attemptsMax = 10;
const leaseSeconds = 60;

/** Seconds before the next attempt: 1, 2, 4, … 512. */
const backoffSeconds = (attempts: number): number => 2 ** (attempts - 1);

/**
 * Publishes the due events of an outbox, at least once each, until none is left. Safe to run in many processes and
 * at any moment. An event that failed 10 times becomes a dead letter.
 */
export async function relay(
  db: Db,
  outbox: Outbox,
  bus: EventBus,
  clock: () => Date,
  log: Log,
): Promise<void> {
  for (;;) {
    const taken = await outbox.take(db, clock(), leaseSeconds);
    const published: string[] = [];
    for (const { event, attempts } of taken) {
      try {
        await bus.publish(event);
        published.push(event.id);
      } catch (error) {
        const dueAt =
          attempts < attemptsMax ? new Date(clock().getTime() + backoffSeconds(attempts) * 1000) : undefined;
        log(dueAt ? "warn" : "error", dueAt ? "event not delivered yet" : "event is a dead letter", {
          event: event.id,
          type: event.type,
          attempts,
          ...errorFields(error),
        });
        await outbox.failed(db, event.id, String(error), clock(), dueAt);
      }
    }
    await outbox.published(db, published);
    if (taken.length < 50) return;
  }
}

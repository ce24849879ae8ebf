import { type DescMessage, fromJson, type MessageShape } from "@bufbuild/protobuf";
import { sql } from "drizzle-orm";
import type { Db, Tx } from "../db/client";
import { sqlStatement } from "../db/statement";
import { fault } from "../fault";
import type { CloudEvent } from "./outbox";

/** What a service does with one type of event; runs in the transaction that records the message. */
export interface Consumer {
  desc: DescMessage;
  handle(tx: Tx, data: never, event: CloudEvent, prepared: never): Promise<void>;
  /** Asks other services for what the effect needs, before the transaction; with each delivery again. */
  prepare?(data: never): Promise<unknown>;
}

/** A consumer with the types of its message. */
export const consumer = <D extends DescMessage, P = undefined>(
  desc: D,
  handle: (tx: Tx, data: MessageShape<D>, event: CloudEvent, prepared: P) => Promise<void>,
  prepare?: (data: MessageShape<D>) => Promise<P>,
): Consumer => ({ desc, handle, prepare });

/**
 * Handles one delivery: a message seen before has no effect, and (consumer, message id) is recorded in the
 * transaction of the effect. Faults: VALIDATION for what is no event of ours.
 */
export function consume(schema: string, consumers: readonly Consumer[], db: Db, clock: () => Date) {
  const table = sql.raw(`"${schema}"."inbox"`);
  const record = sqlStatement<{ consumer: string; messageId: string; now: Date }, { first: number }>(
    (
      p,
    ) => sql`insert into ${table} (consumer, message_id, received_at) values (${p.consumer}, ${p.messageId}, ${p.now})
      on conflict do nothing returning 1 as first`,
  );
  const byType = new Map(consumers.map((c) => [c.desc.typeName, c]));
  return async (event: CloudEvent): Promise<void> => {
    const known = byType.get(event.type);
    if (!known) throw fault("invalid_argument", "VALIDATION", `${schema} does not listen to ${event.type}.`);
    const data = fromJson(known.desc, event.data, { ignoreUnknownFields: true });
    const prepared = await known.prepare?.(data as never);
    await db.tx(async (tx) => {
      const seen = await record(tx, { consumer: event.type, messageId: event.id, now: clock() });
      if (seen.length === 1) await known.handle(tx, data as never, event, prepared as never);
    });
  };
}

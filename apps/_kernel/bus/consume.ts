import { type DescMessage, fromJson, type MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { sql } from "drizzle-orm";
import { type Db, databaseFault, type Tx } from "../db/client";
import { sqlStatement } from "../db/statement";
import { fault, hasReason, invalid } from "../fault";
import type { CloudEvent } from "./outbox";

/** What a service does with one type of event; runs in the transaction that records the message. */
export interface Consumer {
  desc: DescMessage;
  handle(tx: Tx, data: never, event: CloudEvent, prepared: never): Promise<void>;
  /**
   * Asks others for what the effect needs, or does what no transaction can undo, before the transaction; again with each
   * delivery until the message is recorded, and at the same time if two come at once.
   */
  prepare?(data: never, event: CloudEvent): Promise<unknown>;
}

/** A consumer with the types of its message. */
export const consumer = <D extends DescMessage, P = undefined>(
  desc: D,
  handle: (tx: Tx, data: MessageShape<D>, event: CloudEvent, prepared: P) => Promise<void>,
  prepare?: (data: MessageShape<D>, event: CloudEvent) => Promise<P>,
): Consumer => ({ desc, handle, prepare });

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether a value is one of our events. */
export function isEvent(value: unknown): value is CloudEvent {
  const { id, type, data } = (value ?? {}) as Partial<CloudEvent>;
  return typeof id === "string" && uuid.test(id) && typeof type === "string" && data !== undefined;
}

/** JSON as a value, anything else as text. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Whether handling failed because of the message itself, so that it will never succeed. */
export const isMalformed = (error: unknown): boolean => hasReason(error, "VALIDATION");

const passing: readonly Code[] = [Code.Unavailable, Code.DeadlineExceeded, Code.ResourceExhausted];

/** Whether handling failed for a reason that passes by itself, such as a neighbour or a database that is away. */
export const isPassing = (error: unknown): boolean =>
  error instanceof ConnectError && passing.includes(error.code);

function dataOf(desc: DescMessage, event: CloudEvent) {
  try {
    return fromJson(desc, event.data, { ignoreUnknownFields: true });
  } catch (error) {
    throw invalid([{ pointer: "#/data", detail: `is no ${desc.typeName}: ${(error as Error).message}` }]);
  }
}

/** A message and who handled it. */
interface Recorded {
  consumer: string;
  messageId: string;
}

/**
 * Handles one delivery: a message seen before has no effect, and (consumer, message id) is recorded in the
 * transaction of the effect. Faults: VALIDATION for what is no event of ours, ROUTE_NOT_FOUND for a type that this
 * version does not listen to, DATABASE_UNAVAILABLE.
 */
export function consume(schema: string, consumers: readonly Consumer[], db: Db, clock: () => Date) {
  const table = sql.raw(`"${schema}"."inbox"`);
  const find = sqlStatement<Recorded, object>(
    (p) => sql`select 1 from ${table} where consumer = ${p.consumer} and message_id = ${p.messageId}`,
  );
  const record = sqlStatement<Recorded & { now: Date }, { first: number }>(
    (
      p,
    ) => sql`insert into ${table} (consumer, message_id, received_at) values (${p.consumer}, ${p.messageId}, ${p.now})
      on conflict do nothing returning 1 as first`,
  );
  const byType = new Map(consumers.map((c) => [c.desc.typeName, c]));
  return async (event: unknown): Promise<void> => {
    if (!isEvent(event)) throw invalid([{ pointer: "#", detail: "is no event" }]);
    const known = byType.get(event.type);
    if (!known) throw fault("not_found", "ROUTE_NOT_FOUND", `${schema} does not listen to ${event.type}.`);
    const data = dataOf(known.desc, event);
    const message = { consumer: event.type, messageId: event.id };
    try {
      if (known.prepare && (await find(db, message)).length === 1) return;
      const prepared = await known.prepare?.(data as never, event);
      await db.tx(async (tx) => {
        const seen = await record(tx, { ...message, now: clock() });
        if (seen.length === 1) await known.handle(tx, data as never, event, prepared as never);
      });
    } catch (error) {
      throw databaseFault(error);
    }
  };
}

import { create, type DescMessage, type JsonValue, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { sql } from "drizzle-orm";
import type { Session, Tx } from "../db/client";
import { sqlStatement } from "../db/statement";
import { uuidv7 } from "../id";
import { subscriptions } from "../topology";

/** An event on its way: a CloudEvents 1.0 envelope (https://cloudevents.io) with the proto message as JSON. */
export interface CloudEvent {
  specversion: "1.0";
  id: string;
  source: string;
  type: string;
  subject: string;
  time: string;
  datacontenttype: "application/json";
  /** Position of the event in the life of its subject; order of delivery is not promised. */
  sequence: string;
  data: JsonValue;
}

/** What happened to one subject; `sequence` is its version after it. */
export interface Happening<D extends DescMessage> {
  desc: D;
  data: MessageInitShape<D>;
  subject: string;
  sequence: number;
}

/** Publishes events with the state change of the same transaction, in one statement however many there are. */
export type Announce = <D extends DescMessage>(tx: Tx, ...events: Happening<D>[]) => Promise<void>;

interface OutboxRow {
  id: string;
  type: string;
  subject: string;
  sequence: number;
  data: JsonValue;
  created_at: string;
  attempts: number;
}

/** The outbox of one service. */
export interface Outbox {
  announce: Announce;
  /** Takes up to 50 due events for `leaseSeconds`; several relays at once never take the same one. */
  take(session: Session, now: Date, leaseSeconds: number): Promise<{ event: CloudEvent; attempts: number }[]>;
  /** Marks events as published. */
  published(session: Session, ids: string[]): Promise<void>;
  /** Puts an event back until `dueAt`; without it the event is dead. */
  failed(session: Session, id: string, error: string, now: Date, dueAt: Date | undefined): Promise<void>;
}

/** The outbox in the PostgreSQL schema of a service. */
export function outboxOf(schema: string, clock: () => Date): Outbox {
  const table = sql.raw(`"${schema}"."outbox"`);
  const insert = sqlStatement<{ rows: string; now: Date }, object>(
    (p) => sql`insert into ${table} (id, type, subject, sequence, data, created_at, due_at)
      select id, type, subject, sequence, data, ${p.now}::timestamptz, case when listened then ${p.now}::timestamptz end
      from jsonb_to_recordset(${p.rows}::text::jsonb)
        as event(id uuid, type text, subject text, sequence int, data jsonb, listened boolean)`,
  );
  const take = sqlStatement<{ now: Date; leasedUntil: Date }, OutboxRow>(
    (p) => sql`update ${table} set attempts = attempts + 1, due_at = ${p.leasedUntil}
      where id in (select id from ${table} where due_at <= ${p.now} order by due_at limit 50 for update skip locked)
      returning id, type, subject, sequence, data::text as data, created_at, attempts`,
  );
  const published = sqlStatement<{ ids: string }, object>(
    (p) => sql`update ${table} set due_at = null where id = any(string_to_array(${p.ids}, ',')::uuid[])`,
  );
  const failed = sqlStatement<{ id: string; error: string; dueAt: Date | null; deadAt: Date | null }, object>(
    (p) =>
      sql`update ${table} set due_at = ${p.dueAt}, dead_at = ${p.deadAt}, last_error = ${p.error} where id = ${p.id}`,
  );
  return {
    async announce(tx, ...events) {
      const now = clock();
      const rows = events.map(({ desc, data, subject, sequence }) => ({
        id: uuidv7(now.getTime()),
        type: desc.typeName,
        subject,
        sequence,
        data: toJson(desc, create(desc, data), { alwaysEmitImplicit: true }),
        // without a listener it is history from the start and costs the relay nothing
        listened: subscriptions[desc.typeName] !== undefined,
      }));
      await insert(tx, { rows: JSON.stringify(rows), now });
    },
    async take(session, now, leaseSeconds) {
      const rows = await take(session, { now, leasedUntil: new Date(now.getTime() + leaseSeconds * 1000) });
      return rows.map((row) => ({ attempts: row.attempts, event: envelope(schema, row) }));
    },
    published: async (session, ids) => {
      if (ids.length > 0) await published(session, { ids: ids.join(",") });
    },
    failed: async (session, id, error, now, dueAt) => {
      await failed(session, {
        id,
        error: error.slice(0, 500),
        dueAt: dueAt ?? null,
        deadAt: dueAt ? null : now,
      });
    },
  };
}

function envelope(schema: string, row: OutboxRow): CloudEvent {
  return {
    specversion: "1.0",
    id: row.id,
    source: `/mall/${schema}`,
    type: row.type,
    subject: row.subject,
    time: new Date(row.created_at).toISOString(),
    datacontenttype: "application/json",
    sequence: String(row.sequence),
    data: JSON.parse(row.data as unknown as string) as JsonValue,
  };
}

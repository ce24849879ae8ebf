import { create, type DescMessage, type JsonValue, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { type SQL, sql } from "drizzle-orm";
import type { Session, Tx } from "../db/client";
import { sqlStatement } from "../db/statement";
import { uuidv7 } from "../id";
import { later } from "../time";
import { type ServiceName, serviceOfPackage, subscriptions } from "../topology";

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
  /** Nobody gets it before these seconds are over; at most 7 days. */
  delaySeconds?: number;
}

/** Publishes events with the state change of the same transaction, in one statement however many there are. */
export type Announce = <D extends DescMessage>(tx: Tx, ...events: Happening<D>[]) => Promise<void>;

interface OutboxRow {
  id: string;
  type: string;
  consumer: ServiceName;
  subject: string;
  sequence: number;
  data: string;
  created_at: string;
  not_before: string | null;
  attempts: number;
}

/** An event that this relay holds until `leasedUntil`. */
export interface Taken {
  event: CloudEvent;
  consumer: ServiceName;
  notBefore?: Date;
  /** Which attempt this is, from 1. */
  attempts: number;
  leasedUntil: Date;
}

/** What became of a taken event that was not published. */
export interface Unpublished {
  taken: Taken;
  error: string;
  /** When it is tried again; without it the event is a dead letter. */
  dueAt?: Date;
  /** Whether the attempt counts. */
  counts: boolean;
}

/** An event as a row of the outbox. */
export interface EventRow {
  id: string;
  type: string;
  consumer?: ServiceName;
  subject: string;
  sequence: number;
  data: JsonValue;
  due_at?: Date;
  not_before?: Date;
}

/** Events as rows for a statement that changes something and announces it at once, by `eventInsert`. */
export type EventRows = <D extends DescMessage>(...events: Happening<D>[]) => EventRow[];

/** SQL that writes EventRows, a jsonb array, into the outbox of a service, as part of a statement. */
export const eventInsert = (schema: string, rows: SQL, now: SQL): SQL =>
  sql`insert into ${sql.raw(`"${schema}"."outbox"`)}
      (id, type, consumer, subject, sequence, data, created_at, due_at, not_before)
    select id, type, consumer, subject, sequence, data, ${now}::timestamptz, due_at, not_before
    from jsonb_to_recordset(${rows}) as event(id uuid, type text, consumer text, subject text, sequence int,
      data jsonb, due_at timestamptz, not_before timestamptz)`;

/** The outbox of one service. */
export interface Outbox {
  announce: Announce;
  rows: EventRows;
  /** Everyone who listens to events of this service. */
  readonly consumers: readonly ServiceName[];
  /** Takes up to 50 due events for these consumers; several relays at once never take the same one. */
  take(
    session: Session,
    now: Date,
    consumers: readonly ServiceName[],
    leaseSeconds: number,
  ): Promise<Taken[]>;
  /** Writes down what became of taken events, in one statement. What another relay has taken since stays its own. */
  settle(
    session: Session,
    published: readonly Taken[],
    unpublished: readonly Unpublished[],
    now: Date,
  ): Promise<void>;
}

export interface OutboxOptions {
  /** Event type → consumers; default the topology's. */
  listeners?: Readonly<Record<string, readonly ServiceName[]>>;
  /** Whether the bus keeps delayed events itself. */
  canDelay?: boolean;
}

/** The outbox in the PostgreSQL schema of a service. */
export function outboxOf(
  schema: string,
  clock: () => Date,
  { listeners = subscriptions, canDelay = false }: OutboxOptions = {},
): Outbox {
  const { insert, take, settle } = statements(schema);
  const own = Object.entries(listeners).filter(([type]) => serviceOfPackage(type) === schema);
  const rowsOf: EventRows = (...events) => {
    const now = clock();
    return events.flatMap(({ desc, data, subject, sequence, delaySeconds }): EventRow[] => {
      const not_before = delaySeconds ? later(now, delaySeconds) : undefined;
      const json = toJson(desc, create(desc, data), { alwaysEmitImplicit: true });
      const event = { type: desc.typeName, subject, sequence, data: json, not_before };
      const consumers = listeners[desc.typeName] ?? [];
      // without a listener it is history from the start and costs the relay nothing
      if (consumers.length === 0) return [{ ...event, id: uuidv7(now.getTime()) }];
      const due_at = canDelay ? now : (not_before ?? now);
      return consumers.map((consumer) => ({ ...event, consumer, due_at, id: uuidv7(now.getTime()) }));
    });
  };
  return {
    consumers: [...new Set(own.flatMap(([, names]) => names))],
    rows: rowsOf,
    async announce(tx, ...events) {
      await insert(tx, { rows: JSON.stringify(rowsOf(...events)), now: clock() });
    },
    async take(session, now, consumers, leaseSeconds) {
      const leasedUntil = later(now, leaseSeconds);
      const rows = await take(session, { now, leasedUntil, consumers: consumers.join(",") });
      return rows.map((row) => ({
        event: envelope(schema, row),
        consumer: row.consumer,
        notBefore: row.not_before ? new Date(row.not_before) : undefined,
        attempts: row.attempts,
        leasedUntil,
      }));
    },
    async settle(session, published, unpublished, now) {
      const failed = unpublished.map(({ taken, error, dueAt, counts }) => ({
        id: taken.event.id,
        consumer: taken.consumer,
        leased_until: taken.leasedUntil,
        error: error.slice(0, 500),
        due_at: dueAt,
        uncounted: counts ? 0 : 1,
        event: dueAt ? undefined : taken.event,
      }));
      const ids = published.map(({ event }) => event.id).join(",");
      await settle(session, { ids, failed: JSON.stringify(failed), now });
    },
  };
}

function statements(schema: string) {
  const table = sql.raw(`"${schema}"."outbox"`);
  const dead = sql.raw(`"${schema}"."dead_letters"`);
  return {
    insert: sqlStatement<{ rows: string; now: Date }, object>((p) =>
      eventInsert(schema, sql`${p.rows}::text::jsonb`, p.now),
    ),
    take: sqlStatement<{ now: Date; leasedUntil: Date; consumers: string }, OutboxRow>(
      (p) => sql`update ${table} set attempts = attempts + 1, due_at = ${p.leasedUntil}
        where id in (select id from ${table}
          where consumer = any(string_to_array(${p.consumers}, ',')) and due_at <= ${p.now}
          order by due_at limit 50 for update skip locked)
        returning id, type, consumer, subject, sequence, data::text as data, created_at, not_before, attempts`,
    ),
    // a lease that ran out and was taken by another relay shows in due_at
    settle: sqlStatement<{ ids: string; failed: string; now: Date }, object>(
      (p) => sql`with failed as (
          select * from jsonb_to_recordset(${p.failed}::text::jsonb) as f(id uuid, consumer text,
            leased_until timestamptz, error text, due_at timestamptz, uncounted int, event jsonb)
        ), published as (
          update ${table} set due_at = null, last_error = null
          where id = any(string_to_array(${p.ids}, ',')::uuid[])
        ), put_back as (
          update ${table} o set due_at = f.due_at, attempts = o.attempts - f.uncounted, last_error = f.error,
            dead_at = case when f.due_at is null then ${p.now}::timestamptz end
          from failed f where o.id = f.id and o.due_at = f.leased_until
          returning o.id, o.dead_at
        )
        insert into ${dead} (id, consumer, event, error, dead_at)
        select f.id::text, f.consumer, f.event, f.error, d.dead_at
        from failed f join put_back d on d.id = f.id where d.dead_at is not null
        on conflict do nothing`,
    ),
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
    data: JSON.parse(row.data) as JsonValue,
  };
}

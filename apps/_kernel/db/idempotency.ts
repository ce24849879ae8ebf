import { sql } from "drizzle-orm";
import type { Session } from "./client";
import { sqlStatement } from "./statement";

/** Which answer a key stands for. */
export interface KeyRef {
  scope: string;
  rpc: string;
  key: string;
  /** The request that took the key. Where it is given, only what that request took is settled or given back. */
  owner?: string;
}

/** What is stored under a key. */
export interface KeyRecord {
  fingerprint: Uint8Array;
  state: "in_flight" | "done";
  /** The sealed answer of a record that is done; of one in flight its owner. */
  response: Uint8Array | null;
}

/** The statements over one service's idempotency table. */
export interface IdempotencyStore {
  /** The record of a key: in flight, or done and not expired. */
  find(session: Session, ref: KeyRef, now: Date): Promise<KeyRecord | undefined>;
  /**
   * Takes a key for its owner; false when another request has it. Does not wait for a transaction that is taking it:
   * the key is in flight, and its record cannot be seen yet.
   */
  take(
    session: Session,
    ref: KeyRef & { owner: string },
    fingerprint: Uint8Array,
    now: Date,
    expiresAt: Date,
  ): Promise<boolean>;
  /** Writes the answer of a key that is in flight. */
  settle(session: Session, ref: KeyRef, response: Uint8Array, expiresAt: Date): Promise<void>;
  /** Writes an answer under a key that nobody else has; false when somebody has it. */
  keep(
    session: Session,
    ref: KeyRef & { owner: string },
    fingerprint: Uint8Array,
    response: Uint8Array,
    now: Date,
    expiresAt: Date,
  ): Promise<boolean>;
  /** Gives a key back that was taken for a request which is not to be remembered. */
  abandon(session: Session, ref: KeyRef): Promise<void>;
  /**
   * Deletes expired answers, `cleanRows` at most, and tells how many. Several cleaners at once share the work. What is
   * in flight has no answer yet and stays, however old it is.
   */
  clean(session: Session, now: Date): Promise<number>;
}

/** Most records that one cleaning deletes. */
export const cleanRows = 1_000;

type Written = KeyRef & { fingerprint: Uint8Array; expiresAt: Date };

function readers(schema: string) {
  const table = sql.raw(`"${schema}"."idempotency"`);
  return {
    find: sqlStatement<{ scope: string; rpc: string; key: string; now: Date }, KeyRecord>(
      (p) => sql`select fingerprint, state, response from ${table}
        where scope = ${p.scope} and rpc = ${p.rpc} and key = ${p.key}
          and (state = 'in_flight' or expires_at > ${p.now})`,
    ),
    // the lock makes PostgreSQL look again at a record that a new request has taken over meanwhile
    clean: sqlStatement<{ now: Date }, { n: number }>(
      (p) => sql`with due as (
          select ctid from ${table} where state = 'done' and expires_at <= ${p.now}::timestamptz
          order by expires_at limit ${sql.raw(String(cleanRows))} for update skip locked),
        gone as (
          delete from ${table} where ctid in (select ctid from due) returning 1)
        select count(*)::int as n from gone`,
    ),
  };
}

/** Whether a record of another owner may be overwritten: its answer was kept for long enough. */
const expired = sql.raw("(held.state = 'done' and held.expires_at <= ");

function writers(schema: string) {
  const table = sql.raw(`"${schema}"."idempotency"`);
  return {
    take: sqlStatement<Written & { owner: string; now: Date }, { taken: number }>(
      (p) => sql`insert into ${table} as held (scope, rpc, key, fingerprint, state, response, expires_at)
        select ${p.scope}::text, ${p.rpc}::text, ${p.key}::text, ${p.fingerprint}::bytea, 'in_flight',
          convert_to(${p.owner}::text, 'UTF8'), ${p.expiresAt}::timestamptz
        where pg_try_advisory_xact_lock(hashtextextended(
          concat_ws('|', ${schema}::text, ${p.scope}::text, ${p.rpc}::text, ${p.key}::text), 0))
        on conflict (scope, rpc, key) do update
          set fingerprint = excluded.fingerprint, state = 'in_flight', response = excluded.response,
            expires_at = excluded.expires_at
          where ${expired}${p.now}::timestamptz)
        returning 1 as taken`,
    ),
    settle: sqlStatement<
      {
        scope: string;
        rpc: string;
        key: string;
        owner: string | null;
        response: Uint8Array;
        expiresAt: Date;
      },
      object
    >(
      (p) => sql`update ${table} set state = 'done', response = ${p.response}, expires_at = ${p.expiresAt}
        where scope = ${p.scope} and rpc = ${p.rpc} and key = ${p.key} and state = 'in_flight'
          and (${p.owner}::text is null or response = convert_to(${p.owner}::text, 'UTF8'))`,
    ),
    keep: sqlStatement<Written & { owner: string; response: Uint8Array; now: Date }, { kept: number }>(
      (p) => sql`insert into ${table} as held (scope, rpc, key, fingerprint, state, response, expires_at)
        values (${p.scope}, ${p.rpc}, ${p.key}, ${p.fingerprint}, 'done', ${p.response}, ${p.expiresAt})
        on conflict (scope, rpc, key) do update
          set fingerprint = excluded.fingerprint, state = 'done', response = excluded.response,
            expires_at = excluded.expires_at
          where ${expired}${p.now}::timestamptz)
            or (held.state = 'in_flight' and held.response = convert_to(${p.owner}::text, 'UTF8'))
        returning 1 as kept`,
    ),
    abandon: sqlStatement<{ scope: string; rpc: string; key: string; owner: string | null }, object>(
      (p) => sql`delete from ${table}
        where scope = ${p.scope} and rpc = ${p.rpc} and key = ${p.key} and state = 'in_flight'
          and (${p.owner}::text is null or response = convert_to(${p.owner}::text, 'UTF8'))`,
    ),
  };
}

/** The store of a service; `schema` is its PostgreSQL schema. */
export function idempotencyStore(schema: string): IdempotencyStore {
  const { find, clean } = readers(schema);
  const { take, settle, keep, abandon } = writers(schema);
  return {
    find: async (session, { scope, rpc, key }, now) => (await find(session, { scope, rpc, key, now }))[0],
    take: async (session, ref, fingerprint, now, expiresAt) =>
      (await take(session, { ...ref, fingerprint, now, expiresAt })).length === 1,
    settle: async (session, ref, response, expiresAt) => {
      await settle(session, { ...ref, owner: ref.owner ?? null, response, expiresAt });
    },
    keep: async (session, ref, fingerprint, response, now, expiresAt) =>
      (await keep(session, { ...ref, fingerprint, response, now, expiresAt })).length === 1,
    abandon: async (session, ref) => {
      await abandon(session, { ...ref, owner: ref.owner ?? null });
    },
    clean: async (session, now) => (await clean(session, { now }))[0]!.n,
  };
}

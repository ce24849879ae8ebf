import { sql } from "drizzle-orm";
import type { Session } from "./client";
import { sqlStatement } from "./statement";

/** Which answer a key stands for. */
export interface KeyRef {
  scope: string;
  rpc: string;
  key: string;
}

/** What is stored under a key. */
export interface KeyRecord {
  fingerprint: Uint8Array;
  state: "in_flight" | "done";
  response: Uint8Array | null;
}

/** The statements over one service's idempotency table. */
export interface IdempotencyStore {
  /** The record of a key that has not expired. */
  find(session: Session, ref: KeyRef, now: Date): Promise<KeyRecord | undefined>;
  /** Takes a key for this request; false when another request has it. Waits for a transaction that is taking it. */
  take(session: Session, ref: KeyRef, fingerprint: Uint8Array, now: Date, expiresAt: Date): Promise<boolean>;
  /** Writes the answer of a key, whether it was taken before or not. */
  settle(
    session: Session,
    ref: KeyRef,
    fingerprint: Uint8Array | undefined,
    response: Uint8Array,
    expiresAt: Date,
  ): Promise<void>;
  /** Gives a key back that was taken for a request which is not to be remembered. */
  abandon(session: Session, ref: KeyRef): Promise<void>;
  /** Deletes up to 1,000 expired records. */
  clean(session: Session, now: Date): Promise<void>;
}

/** The store of a service; `schema` is its PostgreSQL schema. */
export function idempotencyStore(schema: string): IdempotencyStore {
  const table = sql.raw(`"${schema}"."idempotency"`);
  const find = sqlStatement<KeyRef & { now: Date }, KeyRecord>(
    (p) => sql`select fingerprint, state, response from ${table}
      where scope = ${p.scope} and rpc = ${p.rpc} and key = ${p.key} and expires_at > ${p.now}`,
  );
  const take = sqlStatement<
    KeyRef & { fingerprint: Uint8Array; now: Date; expiresAt: Date },
    { taken: number }
  >(
    (p) => sql`insert into ${table} as held (scope, rpc, key, fingerprint, state, expires_at)
      values (${p.scope}, ${p.rpc}, ${p.key}, ${p.fingerprint}, 'in_flight', ${p.expiresAt})
      on conflict (scope, rpc, key) do update
        set fingerprint = excluded.fingerprint, state = 'in_flight', response = null, expires_at = excluded.expires_at
        where held.expires_at <= ${p.now}
      returning 1 as taken`,
  );
  const settle = sqlStatement<
    KeyRef & { fingerprint: Uint8Array | null; response: Uint8Array; expiresAt: Date },
    object
  >(
    (p) => sql`insert into ${table} as held (scope, rpc, key, fingerprint, state, response, expires_at)
      values (${p.scope}, ${p.rpc}, ${p.key}, coalesce(${p.fingerprint}::bytea, ''::bytea), 'done', ${p.response}, ${p.expiresAt})
      on conflict (scope, rpc, key) do update
        set state = 'done', response = excluded.response, expires_at = excluded.expires_at
        where held.state = 'in_flight'`,
  );
  const abandon = sqlStatement<KeyRef, object>(
    (p) =>
      sql`delete from ${table} where scope = ${p.scope} and rpc = ${p.rpc} and key = ${p.key} and state = 'in_flight'`,
  );
  const clean = sqlStatement<{ now: Date }, object>(
    (p) => sql`delete from ${table} where (scope, rpc, key) in
      (select scope, rpc, key from ${table} where expires_at <= ${p.now} order by expires_at limit 1000)`,
  );
  return {
    find: async (session, ref, now) => (await find(session, { ...ref, now }))[0],
    take: async (session, ref, fingerprint, now, expiresAt) =>
      (await take(session, { ...ref, fingerprint, now, expiresAt })).length === 1,
    settle: async (session, ref, fingerprint, response, expiresAt) => {
      await settle(session, { ...ref, fingerprint: fingerprint ?? null, response, expiresAt });
    },
    abandon: async (session, ref) => {
      await abandon(session, ref);
    },
    clean: async (session, now) => {
      await clean(session, { now });
    },
  };
}

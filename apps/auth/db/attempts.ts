import type { Session, Tx } from "@mall/kernel/db/client";
import { sqlStatement } from "@mall/kernel/db/statement";
import { later } from "@mall/kernel/time";
import { type SQL, sql } from "drizzle-orm";
import { type AttemptScope, attemptWindows, type Counted, trustSeconds } from "../domain/attempts";

/** One attempt: when, and under which keyed hashes it is counted. */
export interface Attempt {
  at: Date;
  keys: Partial<Record<AttemptScope, Uint8Array>>;
}

interface CountedRow {
  key: string;
  wrong: number;
  pending: number;
  oldest: string | null;
  trusted_until: string | null;
}

/** An attempt that a crash left in flight is forgotten after this many seconds. */
const pendingSeconds = 60;

const recent = (times: string, p: { now: SQL }, seconds: string) =>
  sql`array(select t from unnest(known.${sql.raw(times)}) as t
    where t > ${p.now}::timestamptz - make_interval(secs => ${sql.raw(seconds)}) order by t)`;

// rows are locked in the order of their keys; one that waits counts what the one before it added
const add = sqlStatement<{ windows: string; now: Date }, CountedRow>(
  (p) => sql`insert into auth.login_attempts as known (key, seconds, times, pending, expires_at)
    select decode(w.key, 'hex'), w.seconds, '{}', array[${p.now}::timestamptz],
      ${p.now}::timestamptz + make_interval(secs => w.seconds)
    from jsonb_to_recordset(${p.windows}::text::jsonb) as w(key text, seconds int) order by w.key
    on conflict (key) do update set seconds = excluded.seconds,
      times = ${recent("times", p, "excluded.seconds")},
      pending = ${recent("pending", p, String(pendingSeconds))} || ${p.now}::timestamptz,
      expires_at = greatest(excluded.expires_at, known.trusted_until)
    returning encode(key, 'hex') as key, cardinality(times) as wrong, cardinality(pending) as pending,
      times[1] as oldest, trusted_until`,
);

/** Counts an attempt in all its windows, and tells what it finds there; to be undone by who refuses it. */
export async function countAttempt(tx: Tx, { at, keys }: Attempt): Promise<Counted[]> {
  const scopes = new Map(
    Object.entries(keys).map(([scope, key]) => [Buffer.from(key).toString("hex"), scope as AttemptScope]),
  );
  const windows = [...scopes].map(([key, scope]) => ({ key, seconds: attemptWindows[scope].seconds }));
  const rows = await add(tx, { windows: JSON.stringify(windows), now: at });
  return rows.map(({ key, oldest, trusted_until, ...counts }) => ({
    ...{ scope: scopes.get(key)!, ...counts },
    ...(oldest === null ? {} : { oldest: new Date(oldest) }),
    ...(trusted_until === null ? {} : { trustedUntil: new Date(trusted_until) }),
  }));
}

// rows are locked in the order of their keys, as above: two that settle at once would else wait for each other
const settle = sqlStatement<{ keys: string; at: Date; wrong: boolean }, object>(
  (p) => sql`with own as materialized (
      select key from auth.login_attempts
      where key in (select decode(k.hex, 'hex') from jsonb_array_elements_text(${p.keys}::text::jsonb) as k(hex))
      order by key for update
    )
    update auth.login_attempts as known set
      pending = pending[:array_position(pending, ${p.at}::timestamptz) - 1]
        || pending[array_position(pending, ${p.at}::timestamptz) + 1:],
      times = case when ${p.wrong}::boolean then times || ${p.at}::timestamptz else times end
    from own where known.key = own.key and ${p.at}::timestamptz = any(known.pending)`,
);

const hexOf = (keys: Attempt["keys"]): string =>
  JSON.stringify(
    Object.values(keys)
      .map((key) => Buffer.from(key).toString("hex"))
      .sort(),
  );

/** Notes that an attempt had a wrong password, or that nobody looked at it. */
export async function settleAttempt(session: Session, { at, keys }: Attempt, wrong: boolean): Promise<void> {
  await settle(session, { keys: hexOf(keys), at, wrong });
}

const trust = sqlStatement<{ key: Uint8Array; until: Date }, object>(
  (p) => sql`update auth.login_attempts set times = '{}', trusted_until = ${p.until}::timestamptz,
      expires_at = ${p.until}::timestamptz
    where key = ${p.key}::bytea`,
);

/** Notes that an attempt had the right password, and forgives the wrong ones from the same address. */
export async function rewardAttempt(tx: Tx, attempt: Attempt): Promise<void> {
  await settleAttempt(tx, attempt, false);
  const { pair } = attempt.keys;
  if (pair) await trust(tx, { key: pair, until: later(attempt.at, trustSeconds) });
}

const clear = sqlStatement<{ key: Uint8Array }, object>(
  (p) => sql`update auth.login_attempts set times = '{}' where key = ${p.key}::bytea`,
);

/** Forgives all wrong passwords of an account, wherever they came from. */
export async function clearAttempts(tx: Tx, key: Uint8Array): Promise<void> {
  await clear(tx, { key });
}

const deleteExpired = sqlStatement<{ now: Date }, object>(
  (p) => sql`delete from auth.login_attempts
    where key in (
      select key from auth.login_attempts where expires_at <= ${p.now} limit 1000 for update skip locked
    )`,
);

/** Deletes up to 1,000 counts of windows that are over. */
export async function cleanAttempts(session: Session, now: Date): Promise<void> {
  await deleteExpired(session, { now });
}

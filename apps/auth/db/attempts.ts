import type { Session, Tx } from "@mall/kernel/db/client";
import { sqlStatement } from "@mall/kernel/db/statement";
import { later } from "@mall/kernel/time";
import { sql } from "drizzle-orm";
import { type AttemptScope, attemptWindows, type Counted, trustSeconds } from "../domain/attempts";

/** One attempt: when, and under which keyed hashes it is counted. */
export interface Attempt {
  at: Date;
  keys: Partial<Record<AttemptScope, Uint8Array>>;
}

interface CountedRow {
  key: string;
  attempts: number;
  oldest: string;
  trusted_until: string | null;
}

// rows are locked in the order of their keys; one that waits counts what the one before it added
const add = sqlStatement<{ windows: string; now: Date }, CountedRow>(
  (p) => sql`insert into auth.login_attempts as known (key, seconds, times, expires_at)
    select decode(w.key, 'hex'), w.seconds, array[${p.now}::timestamptz],
      ${p.now}::timestamptz + make_interval(secs => w.seconds)
    from jsonb_to_recordset(${p.windows}::text::jsonb) as w(key text, seconds int) order by w.key
    on conflict (key) do update set seconds = excluded.seconds,
      times = array(select t from unnest(known.times) as t
        where t > ${p.now}::timestamptz - make_interval(secs => excluded.seconds) order by t) || ${p.now}::timestamptz,
      expires_at = greatest(excluded.expires_at, known.trusted_until)
    returning encode(key, 'hex') as key, cardinality(times) as attempts, times[1] as oldest, trusted_until`,
);

/** Counts an attempt in all its windows, and tells what it finds there; to be undone by who refuses it. */
export async function countAttempt(tx: Tx, { at, keys }: Attempt): Promise<Counted[]> {
  const scopes = new Map(
    Object.entries(keys).map(([scope, key]) => [Buffer.from(key).toString("hex"), scope as AttemptScope]),
  );
  const windows = [...scopes].map(([key, scope]) => ({ key, seconds: attemptWindows[scope].seconds }));
  const rows = await add(tx, { windows: JSON.stringify(windows), now: at });
  return rows.map(({ key, attempts, oldest, trusted_until }) => ({
    ...{ scope: scopes.get(key)!, attempts, oldest: new Date(oldest) },
    trustedUntil: trusted_until === null ? undefined : new Date(trusted_until),
  }));
}

const remove = sqlStatement<{ keys: string; at: Date }, object>(
  (p) => sql`update auth.login_attempts set
      times = times[:array_position(times, ${p.at}::timestamptz) - 1]
        || times[array_position(times, ${p.at}::timestamptz) + 1:]
    where key in (select decode(k.hex, 'hex') from jsonb_array_elements_text(${p.keys}::text::jsonb) as k(hex))
      and ${p.at}::timestamptz = any(times)`,
);

const hexOf = (keys: readonly (Uint8Array | undefined)[]): string =>
  JSON.stringify(keys.flatMap((key) => (key ? [Buffer.from(key).toString("hex")] : [])).sort());

/** Takes back an attempt that was none: nobody looked at its password. */
export async function forgetAttempt(session: Session, { at, keys }: Attempt): Promise<void> {
  await remove(session, { keys: hexOf(Object.values(keys)), at });
}

const trust = sqlStatement<{ key: Uint8Array; until: Date }, object>(
  (p) => sql`update auth.login_attempts set times = '{}', trusted_until = ${p.until}::timestamptz,
      expires_at = ${p.until}::timestamptz
    where key = ${p.key}::bytea`,
);

/** Takes back an attempt that had the right password, and forgives the wrong ones from the same address. */
export async function rewardAttempt(tx: Tx, { at, keys }: Attempt): Promise<void> {
  await remove(tx, { keys: hexOf([keys.account, keys.address]), at });
  if (keys.pair) await trust(tx, { key: keys.pair, until: later(at, trustSeconds) });
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
    where key in (select key from auth.login_attempts where expires_at <= ${p.now} limit 1000)`,
);

/** Deletes up to 1,000 counts of windows that are over. */
export async function cleanAttempts(session: Session, now: Date): Promise<void> {
  await deleteExpired(session, { now });
}

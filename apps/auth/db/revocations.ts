import type { Session } from "@mall/kernel/db/client";
import { type Params, sqlStatement } from "@mall/kernel/db/statement";
import { type Id, uuidOf } from "@mall/kernel/id";
import { later } from "@mall/kernel/time";
import { type SQL, sql } from "drizzle-orm";

/** How long a revocation is kept: the longest life of an access token (15 minutes), and a minute for clocks. */
const keptSeconds = 16 * 60;

/** When a revocation is recorded, and until when it is kept. */
export interface Recorded {
  now: Date;
  keptUntil: Date;
}

/** The instants of a revocation that happens now. */
export const recordedAt = (now: Date): Recorded => ({ now, keptUntil: later(now, keptSeconds) });

/**
 * Ends a statement that begins with `changed as (update … returning id, token_version)` on accounts: access tokens of
 * these accounts that were issued before are stale from now on.
 */
export const revokeChanged = (p: Params<Recorded>): SQL => sql`
  insert into auth.revocations as known (subject, below_version, recorded_at, expires_at)
  select id, token_version, ${p.now}::timestamptz, ${p.keptUntil}::timestamptz from changed
  on conflict (subject) do update set below_version = greatest(known.below_version, excluded.below_version),
    recorded_at = excluded.recorded_at, expires_at = excluded.expires_at
  returning subject as id, below_version as version`;

/** What such a statement answers: an account and the version of its tokens since. */
export interface Changed {
  id: string;
  version: number;
}

/**
 * Ends a statement that begins with `ended as (update … returning id)` on sessions: their access tokens are refused
 * from now on.
 */
export const revokeEnded = (p: Params<Recorded>): SQL => sql`
  insert into auth.revocations (subject, recorded_at, expires_at)
  select id, ${p.now}::timestamptz, ${p.keptUntil}::timestamptz from ended
  on conflict (subject) do nothing returning subject as id`;

const outdate = sqlStatement<{ id: string } & Recorded, object>(
  (p) => sql`with changed as (
    update auth.accounts set token_version = token_version + 1 where id = ${p.id} returning id, token_version
  ) ${revokeChanged(p)}`,
);

/**
 * Makes all access tokens of a user stale: TOKEN_STALE within a second on every instance. Tokens that are issued after
 * this has committed are good. Call it in the transaction that changes roles, password or status.
 */
export async function revokeTokensOfUser(session: Session, userId: Id<"usr">, now: Date): Promise<void> {
  await outdate(session, { id: uuidOf(userId), ...recordedAt(now) });
}

const deleteExpired = sqlStatement<{ now: Date }, object>(
  (p) => sql`delete from auth.revocations
    where subject in (select subject from auth.revocations where expires_at <= ${p.now} limit 1000)`,
);

/** Deletes up to 1,000 revocations of tokens that have expired. */
export async function cleanRevocations(session: Session, now: Date): Promise<void> {
  await deleteExpired(session, { now });
}

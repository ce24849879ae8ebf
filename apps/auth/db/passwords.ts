import type { Session, Tx } from "@mall/kernel/db/client";
import { type Params, sqlStatement } from "@mall/kernel/db/statement";
import { type Id, idOf, uuidOf } from "@mall/kernel/id";
import { later } from "@mall/kernel/time";
import { sql } from "drizzle-orm";
import { resetRate, resetTtlSeconds } from "../domain/password";
import { type Changed, type Recorded, recordedAt, revokeChanged } from "./revocations";

interface Change {
  userId: string;
  from: string;
  to: string;
}

const change = sqlStatement<Change & Recorded, Changed>(
  (p) => sql`with changed as (
    update auth.accounts set password_hash = ${p.to}, token_version = token_version + 1
    where id = ${p.userId}::uuid and password_hash = ${p.from} and erased_at is null
    returning id, token_version, email_lookup
  ), voided as (
    update auth.password_resets r set expires_at = null from changed where r.email_lookup = changed.email_lookup
  ) ${revokeChanged(p)}`,
);

/**
 * Gives an account another password: codes of resets end, and all tokens are stale but those of the version that it
 * answers. Undefined when the hash is not the one that was verified: of several changes at once only one
 * succeeds.
 */
export async function replacePassword(
  tx: Tx,
  userId: Id<"usr">,
  { from, to }: { from: string; to: string },
  now: Date,
): Promise<number | undefined> {
  return (await change(tx, { userId: uuidOf(userId), from, to, ...recordedAt(now) }))[0]?.version;
}

interface Request {
  id: string;
  lookup: Uint8Array;
  now: Date;
  pausedSince: Date;
  expiresAt: Date;
  intervalSeconds: number;
  paidAtMost: Date;
}

const request = sqlStatement<Request, { id: string }>(
  (
    p,
  ) => sql`insert into auth.password_resets as known (id, email_lookup, requested_at, expires_at, paid_until)
    values (${p.id}::uuid, ${p.lookup}::bytea, ${p.now}::timestamptz, ${p.expiresAt}::timestamptz,
      ${p.now}::timestamptz + make_interval(secs => ${p.intervalSeconds}))
    on conflict (email_lookup) do update set id = excluded.id, requested_at = excluded.requested_at,
      expires_at = excluded.expires_at,
      paid_until = greatest(known.paid_until, excluded.requested_at) + make_interval(secs => ${p.intervalSeconds})
    where known.requested_at <= ${p.pausedSince}::timestamptz and known.paid_until <= ${p.paidAtMost}::timestamptz
    returning id`,
);

/**
 * Notes that somebody asks to reset the password of an address, which makes the code before invalid; false when that was
 * asked too often. Says and does the same whether the address has an account or not.
 */
export async function requestReset(tx: Tx, id: Id<"rst">, lookup: Uint8Array, now: Date): Promise<boolean> {
  const { pauseSeconds, burst, intervalSeconds } = resetRate;
  const made = await request(tx, {
    ...{ id: uuidOf(id), lookup, now, intervalSeconds },
    pausedSince: later(now, -pauseSeconds),
    expiresAt: later(now, resetTtlSeconds),
    paidAtMost: later(now, (burst - 1) * intervalSeconds),
  });
  return made.length === 1;
}

const goodReset = (p: Params<{ id: string; now: Date }>) =>
  sql`r.id = ${p.id}::uuid and r.expires_at > ${p.now}::timestamptz`;

const select = sqlStatement<{ id: string; now: Date }, { userId: string }>(
  (
    p,
  ) => sql`select a.id as "userId" from auth.password_resets r join auth.accounts a on a.email_lookup = r.email_lookup
    where ${goodReset(p)} and a.banned_at is null`,
);

/** Whose password a reset is about; undefined when it is no longer good, and for addresses without an account. */
export async function findReset(session: Session, id: Id<"rst">, now: Date): Promise<Id<"usr"> | undefined> {
  const [found] = await select(session, { id: uuidOf(id), now });
  return found && idOf("usr", found.userId);
}

const reset = sqlStatement<{ id: string; userId: string; to: string } & Recorded, Changed>(
  (p) => sql`with used as (
    update auth.password_resets r set expires_at = null where ${goodReset(p)} returning email_lookup
  ), changed as (
    update auth.accounts a set password_hash = ${p.to}, token_version = token_version + 1,
      email_verified_at = coalesce(email_verified_at, ${p.now}::timestamptz)
    from used where a.email_lookup = used.email_lookup and a.id = ${p.userId}::uuid and banned_at is null
    returning a.id, token_version
  ) ${revokeChanged(p)}`,
);

/**
 * Uses a reset up: the account of its address has another password, its address is its user's, and all tokens are stale
 * but those of the version that it answers. Undefined when the reset is not good, or the address no longer that user's;
 * then nothing may be kept.
 */
export async function resetTo(
  tx: Tx,
  id: Id<"rst">,
  { userId, to }: { userId: Id<"usr">; to: string },
  now: Date,
): Promise<number | undefined> {
  return (await reset(tx, { id: uuidOf(id), userId: uuidOf(userId), to, ...recordedAt(now) }))[0]?.version;
}

const deletePaid = sqlStatement<{ now: Date }, object>(
  (p) => sql`delete from auth.password_resets
    where id in (select id from auth.password_resets where paid_until <= ${p.now} order by paid_until limit 1000)`,
);

/** Deletes up to 1,000 resets that no longer count. */
export async function cleanResets(session: Session, now: Date): Promise<void> {
  await deletePaid(session, { now });
}

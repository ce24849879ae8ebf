import { codes } from "@mall/db/auth";
import type { Session, Tx } from "@mall/kernel/db/client";
import { orm, type Params, sqlStatement, statement } from "@mall/kernel/db/statement";
import { type Id, uuidOf } from "@mall/kernel/id";
import { later } from "@mall/kernel/time";
import { eq, sql } from "drizzle-orm";
import { type CodeKind, type CodeRef, codePauseSeconds, codeTtlSeconds } from "../domain/code";

interface NewCode {
  userId: string;
  kind: string;
  email: string | null;
  now: Date;
  pausedSince: Date;
  expiresAt: Date;
}

const replace = sqlStatement<NewCode, { generation: number }>(
  (p) => sql`insert into auth.codes as known (user_id, kind, generation, email, requested_at, expires_at)
    values (${p.userId}::uuid, ${p.kind}::text, 1, ${p.email}::text, ${p.now}::timestamptz, ${p.expiresAt}::timestamptz)
    on conflict (user_id, kind) do update set generation = known.generation + 1, email = excluded.email,
      requested_at = excluded.requested_at, expires_at = excluded.expires_at
    where known.requested_at <= ${p.pausedSince}::timestamptz
    returning generation`,
);

/** Makes the user's next code of a kind, the only good one from now on; undefined when one was made a moment ago. */
export async function nextCode(
  tx: Tx,
  kind: CodeKind,
  userId: Id<"usr">,
  now: Date,
  email?: string,
): Promise<CodeRef | undefined> {
  const [made] = await replace(tx, {
    ...{ kind, now, email: email ?? null, userId: uuidOf(userId) },
    pausedSince: later(now, -codePauseSeconds),
    expiresAt: later(now, codeTtlSeconds[kind]),
  });
  return made && { kind, userId, generation: made.generation };
}

const use = sqlStatement<
  { userId: string; kind: string; generation: number; now: Date },
  { email: string | null }
>(
  (p) => sql`with good as (
      select user_id, kind, email from auth.codes where user_id = ${p.userId}::uuid and kind = ${p.kind}
        and generation = ${p.generation} and expires_at > ${p.now} for update
    ), used as (
      update auth.codes c set generation = c.generation + 1, expires_at = null, email = null
      from good where c.user_id = good.user_id and c.kind = good.kind
    )
    select email from good`,
);

/** Uses a code up; undefined when it is not good, so of all who present it at once only one gets an answer. */
export async function useCode(
  tx: Tx,
  { userId, kind, generation }: CodeRef,
  now: Date,
): Promise<{ email?: string } | undefined> {
  const [used] = await use(tx, { userId: uuidOf(userId), kind, generation, now });
  return used && { email: used.email ?? undefined };
}

/** What a mail with a code needs to know. */
export interface Addressee {
  /** The account's address. */
  email: string;
  displayName: string;
  /** The address that the account shall have. */
  newEmail?: string;
}

const select = sqlStatement<
  { userId: string; kind: string; generation: number; now: Date },
  { email: string; displayName: string; newEmail: string | null }
>(
  (p) => sql`select a.email, a.display_name as "displayName", c.email as "newEmail"
    from auth.codes c join auth.accounts a on a.id = c.user_id
    where c.user_id = ${p.userId} and c.kind = ${p.kind} and c.generation = ${p.generation}
      and c.expires_at > ${p.now} and a.erased_at is null`,
);

/** Whom to send a code to; undefined when it is no longer good. */
export async function findAddressee(
  session: Session,
  { userId, kind, generation }: CodeRef,
  now: Date,
): Promise<Addressee | undefined> {
  const [row] = await select(session, { userId: uuidOf(userId), kind, generation, now });
  return row && { ...row, newEmail: row.newEmail ?? undefined };
}

const removeAll = statement("delete_codes", (p: Params<{ userId: string }>) =>
  orm.delete(codes).where(eq(codes.userId, p.userId)),
);

/** Deletes all codes of a user who is gone for good: generations must never begin again. */
export async function deleteCodesOf(tx: Tx, userId: Id<"usr">): Promise<void> {
  await removeAll(tx, { userId });
}

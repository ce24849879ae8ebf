import { codes } from "@mall/db/auth";
import type { Session, Tx } from "@mall/kernel/db/client";
import { orm, type Params, sqlStatement, statement } from "@mall/kernel/db/statement";
import { type Id, uuidOf } from "@mall/kernel/id";
import { later } from "@mall/kernel/time";
import { eq, sql } from "drizzle-orm";
import { type CodeKind, type CodeRef, codePauseSeconds, codeTtlSeconds } from "../domain/code";
import type { People } from "./people";

interface NewCode {
  userId: string;
  kind: string;
  personal: Uint8Array | null;
  now: Date;
  pausedSince: Date;
  expiresAt: Date;
}

const replace = sqlStatement<NewCode, { generation: number }>(
  (p) => sql`insert into auth.codes as known (user_id, kind, generation, personal, requested_at, expires_at)
    values (${p.userId}::uuid, ${p.kind}::text, 1, ${p.personal}::bytea, ${p.now}::timestamptz, ${p.expiresAt}::timestamptz)
    on conflict (user_id, kind) do update set generation = known.generation + 1, personal = excluded.personal,
      requested_at = excluded.requested_at, expires_at = excluded.expires_at
    where known.requested_at <= ${p.pausedSince}::timestamptz
    returning generation`,
);

/** Makes the user's next code of a kind, the only good one from now on; undefined when one was made a moment ago. */
export async function nextCode(
  tx: Tx,
  people: People,
  kind: CodeKind,
  userId: Id<"usr">,
  now: Date,
  newEmail?: string,
): Promise<CodeRef | undefined> {
  const personal = newEmail && (await people.newEmail.seal(tx, userId, userId, { email: newEmail }));
  const [made] = await replace(tx, {
    ...{ kind, now, personal: personal || null, userId: uuidOf(userId) },
    pausedSince: later(now, -codePauseSeconds),
    expiresAt: later(now, codeTtlSeconds[kind]),
  });
  return made && { kind, userId, generation: made.generation };
}

interface Row {
  personal: Uint8Array | null;
  wrapped: Uint8Array | null;
}

/** The address in a code; undefined when there is none in it. */
const newEmailOf = (people: People, subject: Id<"usr">, { personal, wrapped }: Row): string | undefined =>
  personal ? people.newEmail.open({ subject, wrapped }, subject, personal)?.email : undefined;

interface GoodCode {
  userId: string;
  kind: string;
  generation: number;
  now: Date;
}

const use = sqlStatement<GoodCode, Row>(
  (p) => sql`with good as (
      select user_id, kind, personal from auth.codes where user_id = ${p.userId}::uuid and kind = ${p.kind}
        and generation = ${p.generation} and expires_at > ${p.now} for update
    ), used as (
      update auth.codes c set generation = c.generation + 1, expires_at = null, personal = null
      from good where c.user_id = good.user_id and c.kind = good.kind
    )
    select personal, wrapped from good left join auth.data_keys on subject = user_id`,
);

/** Uses a code up; undefined when it is not good, so of all who present it at once only one gets an answer. */
export async function useCode(
  tx: Tx,
  people: People,
  { userId, kind, generation }: CodeRef,
  now: Date,
): Promise<{ newEmail?: string } | undefined> {
  const [used] = await use(tx, { userId: uuidOf(userId), kind, generation, now });
  return used && { newEmail: newEmailOf(people, userId, used) };
}

const select = sqlStatement<GoodCode, Row>(
  (p) => sql`select personal, wrapped from auth.codes left join auth.data_keys on subject = user_id
    where user_id = ${p.userId} and kind = ${p.kind} and generation = ${p.generation} and expires_at > ${p.now}`,
);

/** A code that is good, and the address in it; undefined when it is no longer good. */
export async function findCode(
  session: Session,
  people: People,
  { userId, kind, generation }: CodeRef,
  now: Date,
): Promise<{ newEmail?: string } | undefined> {
  const [row] = await select(session, { userId: uuidOf(userId), kind, generation, now });
  return row && { newEmail: newEmailOf(people, userId, row) };
}

const removeAll = statement("delete_codes", (p: Params<{ userId: string }>) =>
  orm.delete(codes).where(eq(codes.userId, p.userId)),
);

/** Deletes all codes of a user who is gone for good: generations must never begin again. */
export async function deleteCodesOf(tx: Tx, userId: Id<"usr">): Promise<void> {
  await removeAll(tx, { userId });
}

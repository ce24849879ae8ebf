import { accounts, sessions } from "@mall/db/auth";
import type { Session as DbSession, Tx } from "@mall/kernel/db/client";
import { orm, type Params, sqlStatement, statement } from "@mall/kernel/db/statement";
import { type Id, uuidOf } from "@mall/kernel/id";
import { and, eq, gt, isNull, type SQL, sql } from "drizzle-orm";
import type { SessionState } from "../domain/refresh-token";
import { type Recorded, recordedAt, revokeEnded } from "./revocations";

/** A session and whose it is, as a token tells it. */
export interface SessionHolder {
  id: Id<"ses">;
  generation: number;
  userId: Id<"usr">;
  roles: string[];
  tokenVersion: number;
}

interface NewSession {
  id: Id<"ses">;
  userId: Id<"usr">;
  /** Version of the account whose user showed who they are. */
  tokenVersion: number;
  createdAt: Date;
  expiresAt: Date;
}

type Inserted = { roles: string[] };

const insert = sqlStatement<Omit<NewSession, "id" | "userId"> & { id: string; userId: string }, Inserted>(
  (p) => sql`with account as (
      select id, roles from auth.accounts
      where id = ${p.userId}::uuid and token_version = ${p.tokenVersion} and banned_at is null for share
    ), made as (
      insert into auth.sessions (id, user_id, created_at, expires_at)
      select ${p.id}::uuid, id, ${p.createdAt}::timestamptz, ${p.expiresAt}::timestamptz from account
    )
    select to_json(roles) as roles from account`,
);

/**
 * Inserts a session of the first generation. Undefined when password, roles or status of the account changed since its
 * user showed who they are: of a change and a sign-in at once, the sign-in sees the change.
 */
export async function insertSession(session: DbSession, row: NewSession): Promise<SessionHolder | undefined> {
  const { id, userId, tokenVersion } = row;
  const [made] = await insert(session, { ...row, id: uuidOf(id), userId: uuidOf(userId) });
  return made && { id, generation: 1, userId, roles: made.roles, tokenVersion };
}

interface RotateParams {
  id: string;
  generation: number;
  now: Date;
  expiresAt: Date;
}

const rotate = statement("rotate_session", (p: Params<RotateParams>) =>
  orm
    .update(sessions)
    .set({ generation: sql`${sessions.generation} + 1`, rotatedAt: p.now, expiresAt: p.expiresAt })
    .from(accounts)
    .where(
      and(
        eq(sessions.id, p.id),
        eq(sessions.generation, p.generation),
        isNull(sessions.revokedAt),
        gt(sessions.expiresAt, p.now),
        eq(accounts.id, sessions.userId),
        isNull(accounts.erasedAt),
      ),
    )
    .returning({
      id: sessions.id,
      generation: sessions.generation,
      userId: sessions.userId,
      roles: accounts.roles,
      tokenVersion: accounts.tokenVersion,
    }),
);

/**
 * Moves a live session from one generation to the next; undefined when it is not at that generation, so of all who
 * present the same refresh token at once only one gets an answer.
 */
export async function rotateSession(
  session: DbSession,
  params: RotateParams,
): Promise<SessionHolder | undefined> {
  const [row] = await rotate(session, params);
  return row;
}

const select = statement("find_session", (p: Params<{ id: string }>) =>
  orm
    .select({ session: sessions, roles: accounts.roles, tokenVersion: accounts.tokenVersion })
    .from(sessions)
    .innerJoin(accounts, and(eq(accounts.id, sessions.userId), isNull(accounts.erasedAt)))
    .where(eq(sessions.id, p.id)),
);

/** A session, live or not, with its holder, who may not be gone. */
export async function findSession(
  session: DbSession,
  id: Id<"ses">,
): Promise<{ holder: SessionHolder; state: SessionState } | undefined> {
  const [row] = await select(session, { id });
  if (!row) return undefined;
  const { generation, userId, rotatedAt, revokedAt, expiresAt } = row.session;
  return {
    holder: { id, generation, userId, roles: row.roles, tokenVersion: row.tokenVersion },
    state: { generation, expiresAt, rotatedAt: rotatedAt ?? undefined, revokedAt: revokedAt ?? undefined },
  };
}

/** Why a session ended before its time. */
export type RevokeReason = "LOGOUT" | "REUSE" | "PASSWORD" | "BAN";

/**
 * Part of a statement that begins with `changed as (update … returning id, token_version)` on accounts and goes on with
 * revokeChanged: all sessions of these accounts end.
 */
export const endSessions = (p: Params<Recorded>, reason: RevokeReason): SQL => sql`ended as (
    update auth.sessions s set revoked_at = ${p.now}::timestamptz, revoke_reason = ${sql.raw(`'${reason}'`)}
    from changed where s.user_id = changed.id and s.revoked_at is null
  )`;

const revoke = sqlStatement<{ id: string; reason: string } & Recorded, { id: string }>(
  (p) => sql`with ended as (
    update auth.sessions set revoked_at = ${p.now}, revoke_reason = ${p.reason}
    where id = ${p.id} and revoked_at is null returning id
  ) ${revokeEnded(p)}`,
);

/** Ends a session and revokes its access tokens; false when it has ended already, and stays as it is. */
export async function revokeSession(
  session: DbSession,
  id: Id<"ses">,
  reason: RevokeReason,
  now: Date,
): Promise<boolean> {
  return (await revoke(session, { id: uuidOf(id), reason, ...recordedAt(now) })).length === 1;
}

const deleteExpired = sqlStatement<{ now: Date }, object>(
  (p) => sql`delete from auth.sessions
    where id in (select id from auth.sessions where expires_at <= ${p.now} order by expires_at limit 1000)`,
);

/** Deletes up to 1,000 expired sessions. */
export async function cleanSessions(session: DbSession, now: Date): Promise<void> {
  await deleteExpired(session, { now });
}

const removeAll = statement("delete_sessions", (p: Params<{ userId: string }>) =>
  orm.delete(sessions).where(eq(sessions.userId, p.userId)),
);

/** Deletes all sessions of a user whose access tokens are stale already. */
export async function deleteSessionsOf(tx: Tx, userId: Id<"usr">): Promise<void> {
  await removeAll(tx, { userId });
}

import { accounts, sessions } from "@mall/db/auth";
import type { Session as DbSession, Tx } from "@mall/kernel/db/client";
import { orm, type Params, sqlStatement, statement } from "@mall/kernel/db/statement";
import { type Id, uuidOf } from "@mall/kernel/id";
import { and, eq, gt, isNull, sql } from "drizzle-orm";
import type { Role } from "../domain/account";
import type { SessionState } from "../domain/refresh-token";
import { type Recorded, recordedAt, revokeEnded } from "./revocations";

/** A session and whose it is, as a token tells it. */
export interface SessionHolder {
  id: Id<"ses">;
  generation: number;
  userId: Id<"usr">;
  roles: Role[];
  tokenVersion: number;
}

interface NewSession {
  id: Id<"ses">;
  userId: Id<"usr">;
  createdAt: Date;
  expiresAt: Date;
}

const insert = statement("insert_session", (p: Params<NewSession>) =>
  orm.insert(sessions).values({ id: p.id, userId: p.userId, createdAt: p.createdAt, expiresAt: p.expiresAt }),
);

/** Inserts a session of the first generation. */
export async function insertSession(session: DbSession, row: NewSession): Promise<void> {
  await insert(session, row);
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
  return row && { ...row, roles: row.roles as Role[] };
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
    holder: { id, generation, userId, roles: row.roles as Role[], tokenVersion: row.tokenVersion },
    state: { generation, expiresAt, rotatedAt: rotatedAt ?? undefined, revokedAt: revokedAt ?? undefined },
  };
}

/** Why a session ended before its time. */
export type RevokeReason = "LOGOUT" | "REUSE";

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

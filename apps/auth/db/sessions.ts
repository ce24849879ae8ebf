import { accounts, dataKeys, sessions } from "@mall/db/auth";
import type { Session as DbSession, Tx } from "@mall/kernel/db/client";
import { orm, type Params, sqlStatement, statement } from "@mall/kernel/db/statement";
import { type Id, uuidOf } from "@mall/kernel/id";
import { and, desc, eq, gt, isNull, sql } from "drizzle-orm";
import type { SessionState } from "../domain/refresh-token";
import type { OwnSession, RevokeReason, SessionClient } from "../domain/session";
import type { People } from "./people";
import { type Recorded, recordedAt, revokeEnded } from "./revocations";

/** A session and whose it is, as a token tells it. */
export interface SessionHolder {
  id: Id<"ses">;
  generation: number;
  userId: Id<"usr">;
  roles: string[];
  tokenVersion: number;
}

/** A session that begins. */
export interface NewSession {
  id: Id<"ses">;
  userId: Id<"usr">;
  /** Version of the account whose user showed who they are. */
  tokenVersion: number;
  createdAt: Date;
  expiresAt: Date;
}

/** What is stored of a client; null when nothing is known of it, or its user was erased. */
async function sealed(tx: Tx, people: People, { id, userId }: SessionOf, client: SessionClient) {
  if (!client.address && !client.device) return null;
  return (await people.client.seal(tx, userId, id, client)) ?? null;
}

type SessionOf = Pick<NewSession, "id" | "userId">;

type Inserted = Omit<NewSession, "id" | "userId"> & {
  id: string;
  userId: string;
  personal: Uint8Array | null;
};

const insert = sqlStatement<Inserted, { roles: string[] }>(
  (p) => sql`with account as (
      select id, roles from auth.accounts
      where id = ${p.userId}::uuid and token_version = ${p.tokenVersion} and banned_at is null for share
    ), made as (
      insert into auth.sessions (id, user_id, created_at, expires_at, personal)
      select ${p.id}::uuid, id, ${p.createdAt}::timestamptz, ${p.expiresAt}::timestamptz, ${p.personal}::bytea
      from account
    )
    select to_json(roles) as roles from account`,
);

/**
 * Inserts a session of the first generation, signed in to from this client. Undefined when password, roles or status of
 * the account changed since its user showed who they are: of a change and a sign-in at once, the sign-in sees the change.
 */
export async function insertSession(
  tx: Tx,
  people: People,
  row: NewSession,
  client: SessionClient,
): Promise<SessionHolder | undefined> {
  const { id, userId, tokenVersion } = row;
  const personal = await sealed(tx, people, row, client);
  const [made] = await insert(tx, { ...row, id: uuidOf(id), userId: uuidOf(userId), personal });
  return made && { id, generation: 1, userId, roles: made.roles, tokenVersion };
}

const note = statement("note_session_client", (p: Params<{ id: string; personal: Uint8Array }>) =>
  orm.update(sessions).set({ personal: p.personal }).where(eq(sessions.id, p.id)),
);

/** Notes from which client a session is used now. */
export async function noteSessionClient(
  tx: Tx,
  people: People,
  session: SessionOf,
  client: SessionClient,
): Promise<void> {
  const personal = await sealed(tx, people, session, client);
  if (personal) await note(tx, { id: session.id, personal });
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

const revokeOwn = sqlStatement<{ id: string; userId: string; reason: string } & Recorded, object>(
  (p) => sql`with ended as (
    update auth.sessions set revoked_at = ${p.now}, revoke_reason = ${p.reason}
    where id = ${p.id} and user_id = ${p.userId} and revoked_at is null and expires_at > ${p.now} returning id
  ) ${revokeEnded(p)}`,
);

/** Ends a live session of a user and revokes its access tokens; false when the user has none of this id. */
export async function revokeSessionOf(
  tx: Tx,
  userId: Id<"usr">,
  id: Id<"ses">,
  reason: RevokeReason,
  now: Date,
): Promise<boolean> {
  const params = { id: uuidOf(id), userId: uuidOf(userId), reason, ...recordedAt(now) };
  return (await revokeOwn(tx, params)).length === 1;
}

const revokeAll = sqlStatement<{ userId: string; kept: string | null; reason: string } & Recorded, object>(
  (p) => sql`with ended as (
    update auth.sessions set revoked_at = ${p.now}, revoke_reason = ${p.reason}
    where user_id = ${p.userId}::uuid and revoked_at is null and expires_at > ${p.now}
      and (${p.kept}::uuid is null or id <> ${p.kept}::uuid) returning id
  ) ${revokeEnded(p)}`,
);

/** Ends all live sessions of a user but one, and revokes their access tokens. Returns how many. */
export async function revokeSessionsOf(
  tx: Tx,
  userId: Id<"usr">,
  reason: RevokeReason,
  now: Date,
  kept?: Id<"ses">,
): Promise<number> {
  const params = { userId: uuidOf(userId), kept: kept ? uuidOf(kept) : null, reason, ...recordedAt(now) };
  return (await revokeAll(tx, params)).length;
}

const keyOfUser = sql<Uint8Array | null>`(select k.wrapped from ${dataKeys} k where k.subject = ${sessions.userId})`;

const selectLive = statement("list_sessions", (p: Params<{ userId: string; now: Date; limit: number }>) =>
  orm
    .select({ session: sessions, wrapped: keyOfUser })
    .from(sessions)
    .where(and(eq(sessions.userId, p.userId), isNull(sessions.revokedAt), gt(sessions.expiresAt, p.now)))
    .orderBy(desc(sql`coalesce(${sessions.rotatedAt}, ${sessions.createdAt})`), desc(sessions.id))
    .limit(p.limit),
);

/** Up to `limit` live sessions of a user, those used last first. */
export async function listSessionsOf(
  session: DbSession,
  people: People,
  userId: Id<"usr">,
  now: Date,
  limit: number,
): Promise<OwnSession[]> {
  const rows = await selectLive(session, { userId, now, limit });
  return rows.map(({ session: { id, createdAt, rotatedAt, expiresAt, personal }, wrapped }) => ({
    ...{ id, createdAt, expiresAt, lastUsedAt: rotatedAt ?? createdAt },
    client: (personal && people.client.open({ subject: userId, wrapped }, id, personal)) ?? {},
  }));
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

import type { Session, Tx } from "@mall/kernel/db/client";
import { type Params, sqlStatement } from "@mall/kernel/db/statement";
import { type Id, idOf, uuidOf } from "@mall/kernel/id";
import { type SQL, sql } from "drizzle-orm";
import { type Access, rolesMax } from "../domain/access";
import { type Recorded, recordedAt, revokeChanged } from "./revocations";

const select = sqlStatement<{ id: string }, { roles: string[]; banReason: string | null }>(
  (p) => sql`select to_json(roles) as roles, ban_reason as "banReason" from auth.accounts
    where id = ${p.id}::uuid and erased_at is null`,
);

/** Roles and status of an account; undefined when there is none, or nobody behind it. */
export async function findAccess(session: Session, userId: Id<"usr">): Promise<Access | undefined> {
  const [row] = await select(session, { id: uuidOf(userId) });
  return row && { userId, roles: row.roles, banReason: row.banReason ?? undefined };
}

const selectAdmins = sqlStatement<object, { id: string }>(
  () => sql`select id from auth.accounts where 'admin' = any(roles) and banned_at is null and erased_at is null
    order by id for update`,
);

/** Everybody who can administer; who else takes that from one of them waits until this transaction has ended. */
export async function lockAdmins(tx: Tx): Promise<Id<"usr">[]> {
  return (await selectAdmins(tx, {})).map(({ id }) => idOf("usr", id));
}

const countRoles = sqlStatement<{ role: string }, { n: number }>(
  (p) => sql`select count(*)::int as n from auth.roles where name = ${p.role}`,
);

/** Whether operators defined a role. */
export const isDefined = async (session: Session, role: string): Promise<boolean> =>
  (await countRoles(session, { role }))[0]!.n === 1;

interface Role {
  id: string;
  role: string;
}

/** Changes the roles of an account, where that changes anything: its tokens are stale then. */
const changeRoles = (to: (p: Params<Role>) => SQL, where: (p: Params<Role>) => SQL) =>
  sqlStatement<Role & Recorded, { id: string }>(
    (p) => sql`with changed as (
      update auth.accounts set roles = ${to(p)}, token_version = token_version + 1
      where id = ${p.id}::uuid and erased_at is null and ${where(p)} returning id, token_version
    ) ${revokeChanged(p)}`,
  );

const add = changeRoles(
  (p) => sql`roles || ${p.role}::text`,
  (p) => sql`${p.role}::text <> all(roles) and cardinality(roles) < ${sql.raw(String(rolesMax))}`,
);

const remove = changeRoles(
  (p) => sql`coalesce(nullif(array_remove(roles, ${p.role}::text), '{}'), '{customer}')`,
  (p) => sql`${p.role}::text = any(roles)`,
);

/** Gives an account a role; false when it has it or has as many as it may have. */
export const addRole = async (tx: Tx, userId: Id<"usr">, role: string, now: Date): Promise<boolean> =>
  (await add(tx, { id: uuidOf(userId), role, ...recordedAt(now) })).length === 1;

/** Takes a role from an account, which stays a customer; false when it has it not. */
export const removeRole = async (tx: Tx, userId: Id<"usr">, role: string, now: Date): Promise<boolean> =>
  (await remove(tx, { id: uuidOf(userId), role, ...recordedAt(now) })).length === 1;

const ban = sqlStatement<{ id: string; reason: string } & Recorded, { id: string }>(
  (p) => sql`with changed as (
    update auth.accounts set banned_at = coalesce(banned_at, ${p.now}::timestamptz), ban_reason = ${p.reason},
      token_version = token_version + 1
    where id = ${p.id}::uuid and erased_at is null and ban_reason is distinct from ${p.reason}::text
    returning id, token_version
  ) ${revokeChanged(p)}`,
);

/** Bans a user for a reason: all tokens are stale; false when that is so already. */
export const banUser = async (tx: Tx, userId: Id<"usr">, reason: string, now: Date): Promise<boolean> =>
  (await ban(tx, { id: uuidOf(userId), reason, ...recordedAt(now) })).length === 1;

const unban = sqlStatement<{ id: string }, { id: string }>(
  (p) => sql`update auth.accounts set banned_at = null, ban_reason = null
    where id = ${p.id}::uuid and banned_at is not null returning id`,
);

/** Lifts a ban; false when there is none. */
export const unbanUser = async (tx: Tx, userId: Id<"usr">): Promise<boolean> =>
  (await unban(tx, { id: uuidOf(userId) })).length === 1;

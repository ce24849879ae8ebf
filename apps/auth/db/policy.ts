import { accessRules, blockedUsers, roles } from "@mall/db/auth";
import type { Session, Tx } from "@mall/kernel/db/client";
import { orm, type Params, sqlStatement, statement } from "@mall/kernel/db/statement";
import { type Id, idOf } from "@mall/kernel/id";
import { asc, eq, gt, sql } from "drizzle-orm";
import type { AccessRule, Policy, PolicyRole, policyMax } from "../domain/policy";

const countUp = sqlStatement<object, { revision: string }>(
  () => sql`insert into auth.policy_revision as last (id, revision) values (1, 1)
    on conflict (id) do update set revision = last.revision + 1 returning revision`,
);

/** Begins a change of the policy: others wait until it has ended, so that what is counted stays true. */
export async function beginChange(tx: Tx): Promise<void> {
  await countUp(tx, {});
}

const readRevision = sqlStatement<object, { revision: string }>(
  () => sql`select coalesce((select revision from auth.policy_revision), 0) as revision`,
);

/** The revision in force; 0 before the first change. */
export const findRevision = async (session: Session): Promise<bigint> =>
  BigInt((await readRevision(session, {}))[0]!.revision);

type Everything = Omit<Policy, "revision"> & { revision: string; blocked: string[] };

const allRoles =
  sql.raw(`(select coalesce(json_agg(json_build_object('name', name, 'description', description,
  'permissions', permissions) order by name), '[]') from auth.roles)`);
const allRules =
  sql.raw(`(select coalesce(json_agg(json_build_object('name', name, 'effect', effect, 'pattern', pattern,
  'roles', roles) order by name), '[]') from auth.access_rules)`);

const insertRevision = sqlStatement<
  { at: Date; author: string; action: string; subject: string; keeps: boolean },
  object
>(
  (p) => sql`insert into auth.policy_revisions (revision, at, author, action, subject, roles, rules)
    select revision, ${p.at}::timestamptz, ${p.author}::text, ${p.action}::text, ${p.subject}::text,
      case when ${p.keeps}::boolean then ${allRoles}::jsonb end,
      case when ${p.keeps}::boolean then ${allRules}::jsonb end
    from auth.policy_revision`,
);

/** Who changed what of the policy, when. */
export interface PolicyChange {
  at: Date;
  author: string;
  action: string;
  subject: string;
}

/** Ends a change of the policy: keeps what it did and, where roles or rules may have changed, how they are since. */
export async function endChange(tx: Tx, change: PolicyChange, keeps: boolean): Promise<void> {
  await insertRevision(tx, { ...change, keeps });
}

const readAll = sqlStatement<object, Everything>(
  () => sql`select coalesce((select revision from auth.policy_revision), 0) as revision,
    ${allRoles} as roles, ${allRules} as rules,
    (select coalesce(json_agg(user_id), '[]') from auth.blocked_users) as blocked`,
);

/** The whole policy, of one moment. */
export async function findPolicy(session: Session): Promise<{ policy: Policy; blocked: Id<"usr">[] }> {
  const [{ blocked, revision, ...rest }] = (await readAll(session, {})) as [Everything];
  return {
    policy: { ...rest, revision: BigInt(revision) },
    blocked: blocked.map((uuid) => idOf("usr", uuid)),
  };
}

type Dated<T> = T & { changedAt: Date };

const upsertRole = statement("set_role", (p: Params<Dated<PolicyRole>>) => {
  const content = { description: p.description, permissions: p.permissions, changedAt: p.changedAt };
  return orm
    .insert(roles)
    .values({ name: p.name, ...content })
    .onConflictDoUpdate({ target: roles.name, set: content });
});

/** Stores a role under its name. */
export async function saveRole(tx: Tx, role: PolicyRole, now: Date): Promise<void> {
  await upsertRole(tx, { ...role, changedAt: now });
}

const removeRole = statement("delete_role", (p: Params<{ name: string }>) =>
  orm.delete(roles).where(eq(roles.name, p.name)).returning({ name: roles.name }),
);

/** Deletes a role; false when there is none of this name. */
export const dropRole = async (tx: Tx, name: string): Promise<boolean> =>
  (await removeRole(tx, { name })).length === 1;

const upsertRule = statement("set_rule", (p: Params<Dated<AccessRule>>) => {
  const content = { effect: p.effect, pattern: p.pattern, roles: p.roles, changedAt: p.changedAt };
  return orm
    .insert(accessRules)
    .values({ name: p.name, ...content })
    .onConflictDoUpdate({ target: accessRules.name, set: content });
});

/** Stores a rule under its name. */
export async function saveRule(tx: Tx, rule: AccessRule, now: Date): Promise<void> {
  await upsertRule(tx, { ...rule, changedAt: now });
}

const removeRule = statement("delete_rule", (p: Params<{ name: string }>) =>
  orm.delete(accessRules).where(eq(accessRules.name, p.name)).returning({ name: accessRules.name }),
);

/** Deletes a rule; false when there is none of this name. */
export const dropRule = async (tx: Tx, name: string): Promise<boolean> =>
  (await removeRule(tx, { name })).length === 1;

const insertBlock = statement("block_user", (p: Params<{ userId: string; now: Date }>) =>
  orm.insert(blockedUsers).values({ userId: p.userId, blockedAt: p.now }).onConflictDoNothing(),
);

/** Puts a user on the list of blocked ones. */
export async function block(tx: Tx, userId: Id<"usr">, now: Date): Promise<void> {
  await insertBlock(tx, { userId, now });
}

const deleteBlock = statement("unblock_user", (p: Params<{ userId: string }>) =>
  orm.delete(blockedUsers).where(eq(blockedUsers.userId, p.userId)).returning({ id: blockedUsers.userId }),
);

/** Takes a user off the list; false when the user is not on it. */
export const unblock = async (tx: Tx, userId: Id<"usr">): Promise<boolean> =>
  (await deleteBlock(tx, { userId })).length === 1;

const selectBlock = statement("find_block", (p: Params<{ userId: string }>) =>
  orm.select({ userId: blockedUsers.userId }).from(blockedUsers).where(eq(blockedUsers.userId, p.userId)),
);

/** Whether a user is on the list. */
export const isBlocked = async (session: Session, userId: Id<"usr">): Promise<boolean> =>
  (await selectBlock(session, { userId })).length === 1;

const selectBlocked = statement("list_blocked_users", (p: Params<{ after: string; limit: number }>) =>
  orm
    .select({ userId: blockedUsers.userId })
    .from(blockedUsers)
    .where(gt(blockedUsers.userId, p.after))
    .orderBy(asc(blockedUsers.userId))
    .limit(p.limit),
);

const firstId = idOf("usr", "00000000-0000-0000-0000-000000000000");

/** Up to `limit` blocked users after one, by their ids. */
export async function listBlocked(session: Session, after: string | undefined, limit: number) {
  const rows = await selectBlocked(session, { after: after ?? firstId, limit });
  return rows.map(({ userId }) => userId);
}

const tables = { roles: "roles", rules: "access_rules", blockedUsers: "blocked_users" } as const;
const counts = Object.fromEntries(
  Object.entries(tables).map(([what, table]) => [
    what,
    sqlStatement<object, { n: number }>(
      () => sql`select count(*)::int as n from auth.${sql.identifier(table)}`,
    ),
  ]),
) as Record<keyof typeof policyMax, (session: Session, params: object) => Promise<{ n: number }[]>>;

/** How many of something the policy holds. */
export const countOf = async (tx: Tx, what: keyof typeof policyMax): Promise<number> =>
  (await counts[what](tx, {}))[0]!.n;

type RevokedRow = { subject: string; below_version: number | null; expires_at: string };

const selectRevoked = sqlStatement<{ recordedAfter: Date; now: Date }, RevokedRow>(
  (p) => sql`select subject, below_version, expires_at from auth.revocations
    where recorded_at > ${p.recordedAfter} and expires_at > ${p.now}`,
);

/** Revocations that were recorded after an instant and still matter. */
export async function listRevocations(session: Session, recordedAfter: Date, now: Date) {
  const rows = await selectRevoked(session, { recordedAfter, now });
  return rows.map(({ subject, below_version: belowVersion, expires_at: expiresAt }) => ({
    subject: belowVersion === null ? idOf("ses", subject) : idOf("usr", subject),
    belowVersion: belowVersion ?? undefined,
    expiresAt: new Date(expiresAt),
  }));
}

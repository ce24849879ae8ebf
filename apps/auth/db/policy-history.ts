import type { Session, Tx } from "@mall/kernel/db/client";
import { sqlStatement } from "@mall/kernel/db/statement";
import { sql } from "drizzle-orm";
import type { AccessRule, PolicyRole } from "../domain/policy";
import { type PolicyChange, saveRole, saveRule } from "./policy";

/** One change of the policy with its number. */
export interface PolicyRevision extends PolicyChange {
  revision: bigint;
}

type Row = Omit<PolicyRevision, "revision" | "at"> & { revision: string; at: string };

const selectList = sqlStatement<{ before: string | null; limit: number }, Row>(
  (p) => sql`select revision, at, author, action, subject from auth.policy_revisions
    where ${p.before}::bigint is null or revision < ${p.before}::bigint order by revision desc limit ${p.limit}`,
);

/** Up to `limit` changes older than `before`, newest first. */
export async function listRevisions(
  session: Session,
  before: bigint | undefined,
  limit: number,
): Promise<PolicyRevision[]> {
  const rows = await selectList(session, { before: before === undefined ? null : String(before), limit });
  return rows.map(({ revision, at, ...rest }) => ({ ...rest, revision: BigInt(revision), at: new Date(at) }));
}

/** Roles and rules as they were. */
export interface PolicyContent {
  roles: PolicyRole[];
  rules: AccessRule[];
}

const selectContent = sqlStatement<{ revision: string }, PolicyContent>(
  (p) => sql`select coalesce(content.roles, '[]') as roles, coalesce(content.rules, '[]') as rules
    from auth.policy_revisions asked left join lateral (
      select roles, rules from auth.policy_revisions where revision <= asked.revision and roles is not null
      order by revision desc limit 1) content on true
    where asked.revision = ${p.revision}::bigint`,
);

/** Roles and rules as of a change, none before the first that had any; undefined when there is none of this number. */
export const findContent = async (session: Session, revision: bigint): Promise<PolicyContent | undefined> =>
  (await selectContent(session, { revision: String(revision) }))[0];

const clearRoles = sqlStatement<object, object>(() => sql`delete from auth.roles`);
const clearRules = sqlStatement<object, object>(() => sql`delete from auth.access_rules`);

/** Puts these roles and rules in the place of all that are there. */
export async function replaceContent(tx: Tx, { roles, rules }: PolicyContent, now: Date): Promise<void> {
  await clearRoles(tx, {});
  await clearRules(tx, {});
  for (const role of roles) await saveRole(tx, role, now);
  for (const rule of rules) await saveRule(tx, rule, now);
}

import { notFound } from "@mall/kernel/fault";
import { findContent, replaceContent } from "../db/policy-history";
import type { Deps } from "../deps";
import { changePolicy, type PolicyDeps } from "./change-policy";

/**
 * Makes roles and rules what they were as of a change, 0 being before the first one, by a new change; who is blocked
 * stays. Permissions that this version does not know any more stay away. Fault REVISION_NOT_FOUND.
 */
export const rollbackPolicy =
  (deps: PolicyDeps & Pick<Deps, "permissions">) =>
  (to: bigint): Promise<void> =>
    changePolicy(deps, { action: "RollbackPolicy", subject: String(to) }, async (tx, now) => {
      const content = to === 0n ? { roles: [], rules: [] } : await findContent(tx, to);
      if (!content) throw notFound("REVISION");
      const isKnown = (permission: string) => Object.hasOwn(deps.permissions, permission);
      const roles = content.roles.map((role) => ({ ...role, permissions: role.permissions.filter(isKnown) }));
      await replaceContent(tx, { ...content, roles }, now);
    });

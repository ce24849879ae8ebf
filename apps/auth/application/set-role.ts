import { countOf, saveRole } from "../db/policy";
import type { Deps } from "../deps";
import { checkCount, checkPermissions, checkRoleName, type PolicyRole } from "../domain/policy";
import { changePolicy, type PolicyDeps } from "./change-policy";

/** Defines a role, or defines it anew. Faults VALIDATION for a built-in one or unknown permissions, POLICY_LIMIT. */
export const setRole =
  (deps: PolicyDeps & Pick<Deps, "permissions">) =>
  async (role: PolicyRole): Promise<PolicyRole> => {
    checkRoleName(role.name);
    checkPermissions(role.permissions, deps.permissions);
    await changePolicy(deps, { action: "SetRole", subject: role.name }, async (tx, now) => {
      await saveRole(tx, role, now);
      checkCount("roles", await countOf(tx, "roles"));
    });
    return role;
  };

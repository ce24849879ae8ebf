import { countOf, saveRole } from "../db/policy";
import { checkCount, checkRoleName, type PolicyRole } from "../domain/policy";
import { changePolicy, type PolicyDeps } from "./change-policy";

/** Defines a role, or defines it anew. Faults VALIDATION for a built-in one, POLICY_LIMIT. */
export const setRole =
  (deps: PolicyDeps) =>
  async (role: PolicyRole): Promise<PolicyRole> => {
    checkRoleName(role.name);
    await changePolicy(deps, { action: "SetRole", subject: role.name }, async (tx, now) => {
      await saveRole(tx, role, now);
      checkCount("roles", await countOf(tx, "roles"));
    });
    return role;
  };

import { countOf, saveRole } from "../db/policy";
import type { Deps } from "../deps";
import { checkCount, checkRoleName, type PolicyRole } from "../domain/policy";
import { changePolicy } from "./change-policy";

/** Defines a role, or defines it anew. Faults VALIDATION for a built-in one, POLICY_LIMIT. */
export const setRole =
  (deps: Pick<Deps, "db" | "clock">) =>
  async (role: PolicyRole): Promise<PolicyRole> => {
    checkRoleName(role.name);
    await changePolicy(deps, async (tx, now) => {
      await saveRole(tx, role, now);
      checkCount("roles", await countOf(tx, "roles"));
    });
    return role;
  };

import { fault, notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { addRole, isDefined } from "../db/access";
import { type Access, builtInRoles, checkGrantable, rolesMax } from "../domain/access";
import { type AccessDeps, changeAccess } from "./change-access";

const tooMany = () => fault("failed_precondition", "ROLE_LIMIT", `An account has at most ${rolesMax} roles.`);

/**
 * Gives an account a built-in role or one that operators defined; its older tokens are stale. Faults VALIDATION,
 * ROLE_NOT_FOUND, ACCOUNT_NOT_FOUND, ROLE_LIMIT.
 */
export const grantRole =
  (deps: AccessDeps) =>
  async (userId: Id<"usr">, role: string): Promise<Access> => {
    checkGrantable(role);
    const access = await changeAccess(
      deps,
      userId,
      { action: "GrantRole", metadata: { role } },
      async (tx, now) => {
        if (!builtInRoles.includes(role) && !(await isDefined(tx, role))) throw notFound("ROLE");
        return addRole(tx, userId, role, now);
      },
    );
    if (!access.roles.includes(role)) throw tooMany();
    return access;
  };

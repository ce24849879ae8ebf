import type { Id } from "@mall/kernel/id";
import { removeRole } from "../db/access";
import { type Access, checkGrantable } from "../domain/access";
import { type AccessDeps, changeAccess, keepAnAdmin } from "./change-access";

/** Takes a role from an account; its older tokens are stale. Faults VALIDATION, ACCOUNT_NOT_FOUND, LAST_ADMIN. */
export const revokeRole =
  (deps: AccessDeps) =>
  async (userId: Id<"usr">, role: string): Promise<Access> => {
    checkGrantable(role);
    const action = "RevokeRole";
    return changeAccess(deps, userId, { action, metadata: { role } }, async (tx, now) => {
      if (role === "admin") await keepAnAdmin(tx, userId, action);
      return removeRole(tx, userId, role, now);
    });
  };

import type { Id } from "@mall/kernel/id";
import { banUser, unbanUser } from "../db/access";
import { revokeSessionsOf } from "../db/sessions";
import type { Access } from "../domain/access";
import { type AccessDeps, changeAccess, keepAnAdmin } from "./change-access";

/** Bans a user or lifts the ban. Faults ACCOUNT_NOT_FOUND, LAST_ADMIN. */
export const setUserStatus =
  (deps: AccessDeps) =>
  (userId: Id<"usr">, { isBanned, reason }: { isBanned: boolean; reason: string }): Promise<Access> => {
    const action = "SetUserStatus";
    return changeAccess(deps, userId, { action, metadata: { isBanned, reason } }, async (tx, now) => {
      if (!isBanned) return unbanUser(tx, userId);
      await keepAnAdmin(tx, userId, action);
      if (!(await banUser(tx, userId, reason, now))) return false;
      await revokeSessionsOf(tx, userId, "BANNED", now);
      return true;
    });
  };

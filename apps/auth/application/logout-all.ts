import type { Id } from "@mall/kernel/id";
import { revokeSessionsOf } from "../db/sessions";
import type { Deps } from "../deps";

/** Ends all sessions of a user, this one included: their tokens are refused within a second. */
export const logoutAll =
  (deps: Pick<Deps, "db" | "clock" | "audit">) =>
  (userId: Id<"usr">): Promise<void> =>
    deps.db.tx(async (tx) => {
      const sessions = await revokeSessionsOf(tx, userId, "LOGOUT_ALL", deps.clock());
      if (sessions === 0) return;
      await deps.audit.record(tx, { action: "LogoutAll", subject: userId, metadata: { sessions } });
    });

import { audited } from "@mall/kernel/audit/refusal";
import type { Id } from "@mall/kernel/id";
import { revokeSessionOf } from "../db/sessions";
import type { Deps } from "../deps";
import { sessionNotFound } from "../domain/session";

/** Ends one of a user's live sessions: its tokens are refused within a second. Fault SESSION_NOT_FOUND. */
export const revokeSession =
  (deps: Pick<Deps, "db" | "clock" | "audit">) =>
  (userId: Id<"usr">, id: Id<"ses">): Promise<void> =>
    deps.db.tx(async (tx) => {
      const entry = { action: "RevokeSession", subject: id };
      if (!(await revokeSessionOf(tx, userId, id, "REVOKED", deps.clock())))
        throw audited(sessionNotFound(), entry);
      await deps.audit.record(tx, entry);
    });

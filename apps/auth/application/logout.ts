import type { Id } from "@mall/kernel/id";
import { revokeSession } from "../db/sessions";
import type { Deps } from "../deps";

/** Ends a session: its refresh token works no more. Ending it again changes nothing. */
export const logout =
  (deps: Deps) =>
  (sessionId: Id<"ses">): Promise<void> =>
    deps.db.tx(async (tx) => {
      const isEnded = await revokeSession(tx, sessionId, "LOGOUT", deps.clock());
      if (isEnded) await deps.audit.record(tx, { action: "Logout", subject: sessionId });
    });

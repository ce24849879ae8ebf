import type { Id } from "@mall/kernel/id";
import { revokeSession } from "../db/sessions";
import type { Deps } from "../deps";

/** Ends a session: its refresh token works no more. Ending it again changes nothing. */
export const logout =
  (deps: Deps) =>
  (sessionId: Id<"ses">): Promise<void> =>
    revokeSession(deps.db, sessionId, "LOGOUT", deps.clock());

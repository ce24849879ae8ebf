import type { Id } from "@mall/kernel/id";
import { findSession } from "../db/sessions";
import type { Deps } from "../deps";
import { sessionNotFound } from "../domain/session";

/** A session as services see it. */
export interface SessionStatus {
  userId: Id<"usr">;
  isLive: boolean;
  expiresAt: Date;
}

/** Whether a session is live, and whose it is. Fault SESSION_NOT_FOUND, also when the user was erased. */
export const getSessionStatus =
  (deps: Pick<Deps, "db" | "clock">) =>
  async (id: Id<"ses">): Promise<SessionStatus> => {
    const found = await findSession(deps.db, id);
    if (!found) throw sessionNotFound();
    const { holder, state } = found;
    const isLive = !state.revokedAt && state.expiresAt > deps.clock();
    return { userId: holder.userId, isLive, expiresAt: state.expiresAt };
  };

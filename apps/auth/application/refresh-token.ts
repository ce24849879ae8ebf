import { audited } from "@mall/kernel/audit/refusal";
import { faultInfo } from "@mall/kernel/fault";
import { later } from "@mall/kernel/time";
import { findSession, noteSessionClient, revokeSession, rotateSession } from "../db/sessions";
import type { Deps } from "../deps";
import {
  judgeRefresh,
  parseRefreshToken,
  refreshTokenInvalid,
  refreshTokenReused,
} from "../domain/refresh-token";
import { currentClient } from "./current-client";
import { issueTokens, type Tokens } from "./issue-tokens";

/**
 * Exchanges a refresh token for the next one and a new access token. One conditional update decides who rotates the
 * session; the immediate predecessor gets the same successor for 10 s; any other used token ends the session. Faults
 * UNAUTHENTICATED, REFRESH_TOKEN_REUSED.
 */
export const refreshToken =
  (deps: Deps) =>
  async (text: string): Promise<Tokens> => {
    const token = parseRefreshToken(text);
    const genuine =
      token && deps.secrets.isSecretOf(token.secret, "refresh", token.sessionId, token.generation);
    if (!genuine) throw refreshTokenInvalid();
    const { sessionId: id, generation } = token;
    const key = await deps.keys.current();
    const now = deps.clock();
    const expiresAt = later(now, deps.refreshTtlSeconds);
    const entry = { action: "RefreshToken", subject: id };
    const rotated = await deps.db.tx(async (tx) => {
      const holder = await rotateSession(tx, { id, generation, now, expiresAt });
      if (!holder) return undefined;
      await noteSessionClient(tx, deps.people, holder, currentClient());
      await deps.audit.record(tx, { ...entry, actor: { kind: "user", id: holder.userId } });
      return holder;
    });
    if (rotated) return issueTokens(deps, key, rotated);
    const session = await findSession(deps.db, id);
    const verdict = judgeRefresh(session?.state, generation, now);
    if (session && verdict === "successor") return issueTokens(deps, key, session.holder);
    if (verdict !== "reused") throw audited(refreshTokenInvalid(), entry);
    const reused = refreshTokenReused();
    await deps.db.tx(async (tx) => {
      await revokeSession(tx, id, "REUSE", now);
      await deps.audit.record(tx, { ...entry, reason: faultInfo(reused)!.reason });
    });
    throw reused;
  };

import { faultInfo } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Actor } from "@mall/kernel/identity/actor";
import { isBlocked } from "../db/policy";
import { findSession } from "../db/sessions";
import type { Deps } from "../deps";

type User = NonNullable<Actor["user"]>;

/** What an access token says, once it has been believed. */
export type TokenVerdict = { user: User; reason?: undefined } | { user?: undefined; reason: string };

/**
 * Judges an access token as of now, without the second that the gates may lag behind: signature, claims and expiry, that
 * its session is live, its roles are those of the account, and the user is not blocked. Never a fault for a bad token.
 */
export const validateToken =
  (deps: Pick<Deps, "db" | "clock" | "verifyAccessToken">) =>
  async (token: string): Promise<TokenVerdict> => {
    const user = await deps.verifyAccessToken(token).catch((error: unknown) => {
      const reason = faultInfo(error)?.reason;
      if (!reason || reason === "AUTH_UNAVAILABLE") throw error;
      return reason;
    });
    if (typeof user === "string") return { reason: user };
    const found = await findSession(deps.db, user.sessionId as Id<"ses">);
    if (!found || found.state.revokedAt) return { reason: "UNAUTHENTICATED" };
    if (found.holder.tokenVersion > user.tokenVersion) return { reason: "TOKEN_STALE" };
    if (await isBlocked(deps.db, user.id as Id<"usr">)) return { reason: "USER_BLOCKED" };
    return { user };
  };

import { uuidv7 } from "@mall/kernel/id";
import { accessTokenAudience, accessTokenIssuer } from "@mall/kernel/identity/access-token";
import { SignJWT } from "jose";
import type { SessionHolder } from "../db/sessions";
import type { Deps } from "../deps";
import type { Account } from "../domain/account";
import { formatRefreshToken } from "../domain/refresh-token";
import type { SigningKey } from "./signing-keys";

/** The tokens of a session. */
export interface Tokens {
  accessToken: string;
  refreshToken: string;
  /** Life of the access token in seconds. */
  expiresInSeconds: number;
}

/** Somebody who has just proved who they are. */
export interface SignedIn {
  account: Account;
  tokens: Tokens;
}

/**
 * Signs a new access token of a session and derives the refresh token of its generation. The key is an argument, so
 * that it is at hand before a session is written: what can fail, fails before.
 */
export async function issueTokens(
  deps: Pick<Deps, "clock" | "secrets" | "accessTtlSeconds">,
  key: SigningKey,
  { id, generation, userId, roles, tokenVersion }: SessionHolder,
): Promise<Tokens> {
  const nowMs = deps.clock().getTime();
  const issuedAt = Math.floor(nowMs / 1000);
  const accessToken = await new SignJWT({ sid: id, roles, ver: tokenVersion })
    .setProtectedHeader({ alg: "EdDSA", typ: "at+jwt", kid: key.kid })
    .setIssuer(accessTokenIssuer)
    .setAudience(accessTokenAudience)
    .setSubject(userId)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + deps.accessTtlSeconds)
    .setJti(uuidv7(nowMs))
    .sign(key.privateKey);
  const secret = deps.secrets.secretOf("refresh", id, generation);
  return {
    accessToken,
    refreshToken: formatRefreshToken({ sessionId: id, generation, secret }),
    expiresInSeconds: deps.accessTtlSeconds,
  };
}

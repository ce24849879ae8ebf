import { errors, jwtVerify } from "jose";
import { fault } from "../fault";
import type { Actor } from "./actor";
import { authKeys, type KeySourceDeps, KeysUnavailable } from "./auth-keys";
import { isOfLife, isTokenSized } from "./token-limits";

/** What an access token says. Issuer and audience are fixed: one mall a deployment. */
export const accessTokenIssuer = "edgemall";
export const accessTokenAudience = "edgemall";

/** The longest life of an access token, in seconds, as auth's environment has it. */
const accessTokenTtlSecondsMax = 900;

/** Checks a bearer token and tells whose it is. */
export type VerifyAccessToken = (token: string) => Promise<NonNullable<Actor["user"]>>;

/** The verifier of a process, and whether it has what it verifies with. */
export interface AccessTokenVerifier {
  verify: VerifyAccessToken;
  /** Whether auth's public keys are known; asks for them when they never were. */
  hasKeys(): Promise<boolean>;
}

interface Claims {
  sub: `usr_${string}`;
  sid: string;
  roles: string[];
  /** Token version of the account when the token was issued. */
  ver: number;
  exp: number;
}

const userForm = /^usr_[0-7][0-9a-hjkmnp-tv-z]{25}$/;

/** Whether claims that are there have the kind that they must have; whether they are of now jose has looked at. */
function areClaims(payload: object, now: Date): payload is Claims {
  const { sub, sid, roles, ver, aud, jti } = payload as Record<string, unknown>;
  const isText = (value: unknown) => typeof value === "string";
  const isList = Array.isArray(roles) && roles.every(isText);
  const areTexts = [sub, sid, jti, aud].every(isText) && userForm.test(sub as string);
  return areTexts && isList && Number.isInteger(ver) && isOfLife(payload, accessTokenTtlSecondsMax, now);
}

const cacheMax = 10_000;

/**
 * Verifies access tokens locally against auth's public keys, which are cached (`auth-keys.ts`); algorithm, type, issuer,
 * audience, required claims and the length of life are pinned. Faults: UNAUTHENTICATED, TOKEN_EXPIRED, AUTH_UNAVAILABLE
 * when the keys cannot be had. Verified tokens are remembered until they expire.
 */
export function accessTokenVerifier(deps: KeySourceDeps): AccessTokenVerifier {
  const { clock } = deps;
  const keys = authKeys(deps);
  const verified = new Map<string, { user: NonNullable<Actor["user"]>; expiresAtMs: number }>();
  const verify: VerifyAccessToken = async (token) => {
    const known = verified.get(token);
    if (known && known.expiresAtMs > clock().getTime()) return known.user;
    try {
      if (!isTokenSized(token)) throw new errors.JWTInvalid("too long");
      const { payload } = await jwtVerify(token, keys.get, {
        algorithms: ["EdDSA"],
        typ: "at+jwt",
        issuer: accessTokenIssuer,
        audience: accessTokenAudience,
        requiredClaims: ["sub", "sid", "roles", "ver", "exp", "iat", "jti"],
        currentDate: clock(),
      });
      if (!areClaims(payload, clock())) throw new errors.JWTInvalid("claims of another kind");
      const { sub, sid, roles, ver, exp } = payload;
      const user = { id: sub, roles, sessionId: sid, tokenVersion: ver };
      if (verified.size >= cacheMax) verified.clear();
      verified.set(token, { user, expiresAtMs: exp * 1000 });
      return user;
    } catch (error) {
      if (error instanceof errors.JWTExpired) {
        throw fault("unauthenticated", "TOKEN_EXPIRED", "The access token has expired; refresh it.");
      }
      if (error instanceof KeysUnavailable) {
        const detail = "Tokens cannot be checked at the moment.";
        throw fault("unavailable", "AUTH_UNAVAILABLE", detail, { retryAfterSeconds: 1, cause: error.cause });
      }
      if (!(error instanceof errors.JOSEError)) throw error;
      throw fault("unauthenticated", "UNAUTHENTICATED", "The bearer token is not valid.");
    }
  };
  return { verify, hasKeys: keys.has };
}

import { createRemoteJWKSet, customFetch, errors, jwtVerify } from "jose";
import { fault } from "../fault";
import type { Actor } from "./actor";

/** What an access token says. Issuer and audience are fixed: one mall a deployment. */
export const accessTokenIssuer = "edgemall";
export const accessTokenAudience = "edgemall";

/** Checks a bearer token and tells whose it is. */
export type VerifyAccessToken = (token: string) => Promise<NonNullable<Actor["user"]>>;

interface Claims {
  sub: `usr_${string}`;
  sid: string;
  roles: string[];
  /** Token version of the account when the token was issued. */
  ver: number;
  exp: number;
}

const userForm = /^usr_[0-7][0-9a-hjkmnp-tv-z]{25}$/;

/** Whether claims that are there have the kind that they must have; their times jose has looked at. */
function areClaims(payload: object): payload is Claims {
  const { sub, sid, roles, ver } = payload as Record<string, unknown>;
  const isText = (value: unknown) => typeof value === "string";
  const isList = Array.isArray(roles) && roles.every(isText);
  return isText(sub) && userForm.test(sub as string) && isText(sid) && isList && Number.isInteger(ver);
}

const cacheMax = 10_000;

/** Errors of jose that tell about the keys' source, not about the token. */
const sourceErrors = new Set(["ERR_JOSE_GENERIC", "ERR_JWKS_TIMEOUT", "ERR_JWKS_INVALID"]);

/**
 * Verifies access tokens locally against auth's public keys, which are cached; algorithm, type, issuer, audience and
 * required claims are pinned. Unknown key ids cause at most one fetch in 30 s. Faults: UNAUTHENTICATED,
 * TOKEN_EXPIRED, AUTH_UNAVAILABLE when the keys cannot be had. Verified tokens are remembered until they expire.
 */
export function accessTokenVerifier(
  fetchAuth: (request: Request) => Promise<Response>,
  clock: () => Date,
): VerifyAccessToken {
  const keys = createRemoteJWKSet(new URL("http://auth/.well-known/jwks.json"), {
    [customFetch]: (url: string, init: RequestInit) =>
      fetchAuth(new Request(url, { method: "GET", headers: init.headers })),
    cooldownDuration: 30_000,
    cacheMaxAge: 600_000,
    timeoutDuration: 3_000,
  });
  const verified = new Map<string, { user: NonNullable<Actor["user"]>; expiresAtMs: number }>();
  return async (token) => {
    const known = verified.get(token);
    if (known && known.expiresAtMs > clock().getTime()) return known.user;
    try {
      const { payload } = await jwtVerify(token, keys, {
        algorithms: ["EdDSA"],
        typ: "at+jwt",
        issuer: accessTokenIssuer,
        audience: accessTokenAudience,
        requiredClaims: ["sub", "sid", "roles", "ver", "exp", "iat", "jti"],
        currentDate: clock(),
      });
      if (!areClaims(payload)) throw new errors.JWTInvalid("claims of another kind");
      const { sub, sid, roles, ver, exp } = payload;
      const user = { id: sub, roles, sessionId: sid, tokenVersion: ver };
      if (verified.size >= cacheMax) verified.clear();
      verified.set(token, { user, expiresAtMs: exp * 1000 });
      return user;
    } catch (error) {
      if (error instanceof errors.JWTExpired) {
        throw fault("unauthenticated", "TOKEN_EXPIRED", "The access token has expired; refresh it.");
      }
      if (error instanceof errors.JOSEError && !sourceErrors.has(error.code)) {
        throw fault("unauthenticated", "UNAUTHENTICATED", "The bearer token is not valid.");
      }
      throw fault("unavailable", "AUTH_UNAVAILABLE", "Tokens cannot be checked at the moment.", {
        retryAfterSeconds: 1,
        cause: error,
      });
    }
  };
}

import { fault } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";

/** What a refresh token says: its session, the generation it stands for, and the secret derived from both. */
export interface RefreshToken {
  sessionId: Id<"ses">;
  generation: number;
  secret: string;
}

/** A session as far as the rotation of its refresh token decides on it. */
export interface SessionState {
  generation: number;
  rotatedAt?: Date;
  revokedAt?: Date;
  expiresAt: Date;
}

/** How long the predecessor of a refresh token gets the same successor again, in seconds. */
export const graceSeconds = 10;

const form = /^(ses_[0-7][0-9a-hjkmnp-tv-z]{25})\.([1-9][0-9]{0,8})\.([A-Za-z0-9_-]{43})$/;

/** Reads a refresh token; undefined when the text is none. */
export function parseRefreshToken(text: string): RefreshToken | undefined {
  const match = form.exec(text);
  if (!match) return undefined;
  return { sessionId: match[1] as Id<"ses">, generation: Number(match[2]), secret: match[3]! };
}

/** The text of a refresh token. */
export const formatRefreshToken = ({ sessionId, generation, secret }: RefreshToken): string =>
  `${sessionId}.${generation}.${secret}`;

/**
 * What a genuine refresh token that did not rotate its session means: the immediate predecessor within the grace gets
 * the successor again; every other older one was used before, by its owner or by a thief; the rest is just not valid.
 */
export function judgeRefresh(
  session: SessionState | undefined,
  generation: number,
  now: Date,
): "successor" | "reused" | "invalid" {
  if (!session || session.revokedAt || session.expiresAt <= now) return "invalid";
  if (generation >= session.generation) return "invalid";
  const sinceMs = session.rotatedAt ? now.getTime() - session.rotatedAt.getTime() : Number.POSITIVE_INFINITY;
  return generation === session.generation - 1 && sinceMs <= graceSeconds * 1000 ? "successor" : "reused";
}

/** REFRESH_TOKEN_REUSED: somebody used this refresh token before, so its session has ended. */
export const refreshTokenReused = () =>
  fault("unauthenticated", "REFRESH_TOKEN_REUSED", "This refresh token was used before; sign in again.");

/** UNAUTHENTICATED: forged, unknown, expired and revoked refresh tokens all answer this. */
export const refreshTokenInvalid = () =>
  fault("unauthenticated", "UNAUTHENTICATED", "The refresh token is not valid; sign in again.");

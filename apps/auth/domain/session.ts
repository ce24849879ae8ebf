import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";

/** What a session tells of its client: personal, so sealed where it is stored. */
export interface SessionClient {
  /** IP address it was used from last. */
  address?: string;
  /** What the client calls itself. */
  device?: string;
}

/** A live session as its owner sees it. */
export interface OwnSession {
  id: Id<"ses">;
  createdAt: Date;
  /** When it was signed in or refreshed last. */
  lastUsedAt: Date;
  expiresAt: Date;
  client: SessionClient;
}

/** Why a session ended before its time. */
export type RevokeReason = "LOGOUT" | "LOGOUT_ALL" | "REVOKED" | "REUSE" | "PASSWORD" | "BANNED";

/** SESSION_NOT_FOUND: there is none of this id, or it is somebody else's. */
export const sessionNotFound = () => notFound("SESSION");

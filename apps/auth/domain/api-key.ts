import { fault } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { BuiltInPermissions, PolicyRole } from "./policy";

/** A key of a machine, without its secret. */
export interface ApiKey {
  id: Id<"key">;
  userId: Id<"usr">;
  name: string;
  prefix: string;
  scopes: string[];
  createdAt: Date;
  expiresAt: Date;
  lastUsedAt?: Date;
  revokedAt?: Date;
}

/** What is stored to tell the right secret from others. */
export interface StoredSecret {
  hash: Uint8Array;
  previous?: { hash: Uint8Array; until: Date };
}

/** Keys that one user may have at once. */
export const liveKeysMax = 50;

const form = /^mk_([0-9a-z]{12})_([A-Za-z0-9_-]{43})$/;

/** Reads a presented key; undefined when the text is none. */
export function parseApiKey(text: string): { prefix: string; secret: string } | undefined {
  const [, prefix, secret] = form.exec(text) ?? [];
  return prefix === undefined || secret === undefined ? undefined : { prefix, secret };
}

/** The text of a key. */
export const formatApiKey = (prefix: string, secret: string): string => `mk_${prefix}_${secret}`;

/** Whether a key still works. */
export const isLive = ({ revokedAt, expiresAt }: ApiKey, now: Date): boolean => !revokedAt && expiresAt > now;

/** Digests that a presented secret may have now. */
export const goodHashes = ({ hash, previous }: StoredSecret, now: Date): Uint8Array[] =>
  previous && previous.until > now ? [hash, previous.hash] : [hash];

/** Whether the last use should be written down again: it is known to the minute. */
export const isUseNews = ({ lastUsedAt }: ApiKey, now: Date): boolean =>
  !lastUsedAt || now.getTime() - lastUsedAt.getTime() >= 60_000;

/**
 * Fault SCOPES_EXCEEDED when somebody with these roles has not all of the scopes. Operators' roles give what their
 * definitions say now.
 */
export function checkScopes(
  scopes: readonly string[],
  roles: readonly string[],
  builtIn: BuiltInPermissions,
  operators: readonly PolicyRole[],
): void {
  const has = (scope: string) =>
    roles.some(
      (role) =>
        builtIn[scope]?.includes(role) ||
        operators.some(({ name, permissions }) => name === role && permissions.includes(scope)),
    );
  const beyond = scopes.filter((scope) => !has(scope));
  if (beyond.length === 0) return;
  throw fault("permission_denied", "SCOPES_EXCEEDED", "A key cannot do what its creator may not do.", {
    metadata: { scopes: beyond.join(" ") },
  });
}

/** Fault API_KEY_LIMIT when a user has too many keys that work. */
export function checkKeyCount(count: number): void {
  if (count <= liveKeysMax) return;
  throw fault("failed_precondition", "API_KEY_LIMIT", `A user has at most ${liveKeysMax} keys; revoke one.`);
}

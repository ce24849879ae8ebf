import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";

/** The master keys of an environment: a comma list, the newest first. The others only open and check what they made. */
export const masterKeysOf = (masterKey: string): string[] => masterKey.split(",").map((key) => key.trim());

/** 32 bytes for one purpose from each master key, newest first (HKDF-SHA256, RFC 5869). */
export const deriveKeys = (masterKey: string, purpose: string): Uint8Array<ArrayBuffer>[] =>
  masterKeysOf(masterKey).map((key) => new Uint8Array(hkdfSync("sha256", key, "edgemall", purpose, 32)));

/** Makes and checks secrets that need not be stored. */
export interface DerivedSecrets {
  /** base64url(HMAC-SHA256(key, kind|id|generation)): the same secret again for the same arguments, 256 bits. */
  secretOf(kind: string, id: string, generation: number): string;
  /** Whether a presented secret is the one of these arguments under any of the master keys, in constant time. */
  isSecretOf(presented: string, kind: string, id: string, generation: number): boolean;
}

/** Secrets under keys derived from the master keys. */
export function derivedSecrets(masterKey: string): DerivedSecrets {
  const keys = deriveKeys(masterKey, "derived-secrets");
  const digest = (key: Uint8Array, kind: string, id: string, generation: number) =>
    createHmac("sha256", key).update(`${kind}|${id}|${generation}`).digest();
  return {
    secretOf: (kind, id, generation) => digest(keys[0]!, kind, id, generation).toString("base64url"),
    isSecretOf(presented, kind, id, generation) {
      const given = Buffer.from(presented, "base64url");
      const matches = keys.map((key) => {
        const expected = digest(key, kind, id, generation);
        return given.length === expected.length && timingSafeEqual(given, expected);
      });
      return matches.includes(true);
    },
  };
}

import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";

/** 32 bytes for one purpose, derived from the master key (HKDF-SHA256, RFC 5869). */
export const deriveKey = (masterKey: string, purpose: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(hkdfSync("sha256", masterKey, "edgemall", purpose, 32));

/** Makes and checks secrets that need not be stored. */
export interface DerivedSecrets {
  /** base64url(HMAC-SHA256(key, kind|id|generation)): the same secret again for the same arguments, 256 bits. */
  secretOf(kind: string, id: string, generation: number): string;
  /** Whether a presented secret is the one of these arguments, in constant time. */
  isSecretOf(presented: string, kind: string, id: string, generation: number): boolean;
}

/** Secrets under a key derived from the master key. */
export function derivedSecrets(masterKey: string): DerivedSecrets {
  const key = deriveKey(masterKey, "derived-secrets");
  const digest = (kind: string, id: string, generation: number) =>
    createHmac("sha256", key).update(`${kind}|${id}|${generation}`).digest();
  return {
    secretOf: (kind, id, generation) => digest(kind, id, generation).toString("base64url"),
    isSecretOf(presented, kind, id, generation) {
      const given = Buffer.from(presented, "base64url");
      const expected = digest(kind, id, generation);
      return given.length === expected.length && timingSafeEqual(given, expected);
    },
  };
}

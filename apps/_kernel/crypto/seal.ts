import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { deriveKey } from "./derive";

/** Authenticated encryption of small values at rest, bound to where they are stored. */
export interface Seal {
  /** AES-256-GCM; the result is version byte, nonce, tag and ciphertext. `context` must be given again to open. */
  seal(plain: Uint8Array, context: string): Buffer;
  /** Opens a sealed value. Throws when key or context differ or a bit changed. */
  open(sealed: Uint8Array, context: string): Buffer;
}

/** A seal under a key derived from the master key for one purpose. */
export function sealer(masterKey: string, purpose: string): Seal {
  const key = deriveKey(masterKey, `seal/${purpose}`);
  return {
    seal(plain, context) {
      const nonce = randomBytes(12);
      const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(context));
      const body = Buffer.concat([cipher.update(plain), cipher.final()]);
      return Buffer.concat([Buffer.of(1), nonce, cipher.getAuthTag(), body]);
    },
    open(sealed, context) {
      if (sealed[0] !== 1) throw new Error("sealed value has an unknown version");
      const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(1, 13)).setAAD(
        Buffer.from(context),
      );
      decipher.setAuthTag(sealed.subarray(13, 29));
      return Buffer.concat([decipher.update(sealed.subarray(29)), decipher.final()]);
    },
  };
}

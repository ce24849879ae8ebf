import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { deriveKeys } from "./derive";

/** Authenticated encryption of small values at rest, bound to where they are stored. */
export interface Seal {
  /** AES-256-GCM; the result is version byte, nonce, tag and ciphertext. `context` must be given again to open. */
  seal(plain: Uint8Array, context: string): Buffer;
  /** Opens a sealed value. Throws when key or context differ or a bit changed. */
  open(sealed: Uint8Array, context: string): Buffer;
}

function open(key: Uint8Array, sealed: Uint8Array, context: string): Buffer {
  if (sealed[0] !== 1) throw new Error("sealed value has an unknown version");
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(1, 13)).setAAD(Buffer.from(context));
  decipher.setAuthTag(sealed.subarray(13, 29));
  return Buffer.concat([decipher.update(sealed.subarray(29)), decipher.final()]);
}

/** A seal under the first of these keys, of 32 bytes each, that opens what any of them sealed. */
export function sealUnder(keys: readonly Uint8Array[]): Seal {
  return {
    seal(plain, context) {
      const nonce = randomBytes(12);
      const cipher = createCipheriv("aes-256-gcm", keys[0]!, nonce).setAAD(Buffer.from(context));
      const body = Buffer.concat([cipher.update(plain), cipher.final()]);
      return Buffer.concat([Buffer.of(1), nonce, cipher.getAuthTag(), body]);
    },
    open(sealed, context) {
      for (const older of keys.slice(0, -1)) {
        try {
          return open(older, sealed, context);
        } catch {
          // the next key may have sealed it
        }
      }
      return open(keys.at(-1)!, sealed, context);
    },
  };
}

/** A seal for one purpose under keys derived from the master keys. */
export const sealer = (masterKey: string, purpose: string): Seal =>
  sealUnder(deriveKeys(masterKey, `seal/${purpose}`));

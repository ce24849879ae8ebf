import type { Kernel } from "@mall/kernel/app";
import type { Seal } from "@mall/kernel/crypto/seal";
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
} from "jose";
import {
  allSealedKeys,
  insertFirstKey,
  listSigningKeys,
  type NewKey,
  type StoredKey,
  storeSealedKey,
} from "../db/signing-keys";

/** The key that signs access tokens now. */
export interface SigningKey {
  kid: string;
  privateKey: CryptoKey;
}

/** The keys of the mall, one set for all processes. */
export interface SigningKeys {
  current(): Promise<SigningKey>;
  /** Public keys whose tokens may still be valid, as a JWK set lists them. */
  published(): Promise<JWK[]>;
}

const cacheSeconds = 10;
/** Longer than any access token lives, with room for clocks that differ. */
export const publishedAfterSeconds = 3600;

/** How long a key is published before it signs: as long as a verifier may go on with the keys it has, and some more. */
export const publishedBeforeSeconds = 60;

/** Whether a key may sign. The newest one that may does. */
const signsAt = ({ activatesAt, retiredAt }: StoredKey, now: Date): boolean =>
  (!activatesAt || activatesAt <= now) && (!retiredAt || retiredAt > now);

const contextOf = (kid: string) => `signing-key|${kid}`;

/** Makes a pair of keys. */
export async function makeKey(seal: Seal): Promise<NewKey> {
  const pair = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  const { kty, crv, x, d } = (await exportJWK(pair.privateKey)) as {
    kty: string;
    crv: string;
    x: string;
    d: string;
  };
  const publicJwk = { kty, crv, x };
  const kid = await calculateJwkThumbprint(publicJwk);
  return { kid, publicJwk, sealedPrivateKey: seal.seal(Buffer.from(d), contextOf(kid)) };
}

/** Seals every signing key by the newest master key; they stay what they are, and a second time changes nothing. */
export async function resealSigningKeys({ db }: Pick<Kernel, "db">, seal: Seal): Promise<void> {
  for (const { kid, sealedPrivateKey } of await allSealedKeys(db)) {
    const plain = seal.open(sealedPrivateKey, contextOf(kid));
    await storeSealedKey(db, kid, seal.seal(plain, contextOf(kid)));
  }
}

/**
 * The signing keys in PostgreSQL: the first one is made when it is first asked for, and racing processes agree on it.
 * What was read is used for 10 s; values only are kept, never promises, which Workers must not share among requests.
 */
export function signingKeys({ db, clock, seal }: Pick<Kernel, "db" | "clock"> & { seal: Seal }): SigningKeys {
  let cached: { signing: SigningKey; published: JWK[]; untilMs: number } | undefined;

  async function stored(now: Date): Promise<StoredKey[]> {
    const retiredAfter = new Date(now.getTime() - publishedAfterSeconds * 1000);
    const found = await listSigningKeys(db, retiredAfter);
    if (found.some((key) => signsAt(key, now))) return found;
    await insertFirstKey(db, await makeKey(seal), now);
    return listSigningKeys(db, retiredAfter);
  }

  async function load() {
    const now = clock();
    if (cached && now.getTime() < cached.untilMs) return cached;
    const keys = await stored(now);
    const newest = keys.find((key) => signsAt(key, now));
    if (!newest) throw new Error("there is no signing key and none could be made");
    const d = seal.open(newest.sealedPrivateKey, contextOf(newest.kid)).toString();
    const privateKey = (await importJWK({ ...newest.publicJwk, d }, "EdDSA")) as CryptoKey;
    cached = {
      signing: { kid: newest.kid, privateKey },
      published: keys.map(({ kid, publicJwk }) => ({ ...publicJwk, kid, alg: "EdDSA", use: "sig" })),
      untilMs: now.getTime() + cacheSeconds * 1000,
    };
    return cached;
  }

  return {
    current: async () => (await load()).signing,
    published: async () => (await load()).published,
  };
}

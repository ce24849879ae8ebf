import { type PublicKeyRow, signingKeys } from "@mall/db/auth";
import type { Session, Tx } from "@mall/kernel/db/client";
import { orm, type Params, sqlStatement, statement } from "@mall/kernel/db/statement";
import { desc, gt, sql } from "drizzle-orm";

/** A signing key as it is stored. */
export interface StoredKey {
  kid: string;
  publicJwk: PublicKeyRow;
  sealedPrivateKey: Uint8Array;
  createdAt: Date;
  /** From when on it signs; always when absent, whatever the clocks of processes say. */
  activatesAt?: Date;
  /** From when on it does not. */
  retiredAt?: Date;
}

/** A key that was just made. */
export type NewKey = Pick<StoredKey, "kid" | "publicJwk" | "sealedPrivateKey">;

const select = statement("list_signing_keys", (p: Params<{ retiredAfter: Date }>) =>
  orm
    .select()
    .from(signingKeys)
    .where(sql`${signingKeys.retiredAt} is null or ${signingKeys.retiredAt} > ${p.retiredAfter}`)
    .orderBy(desc(signingKeys.generation)),
);

/** The keys that are or will be in use or were retired after an instant, newest first. */
export async function listSigningKeys(session: Session, retiredAfter: Date): Promise<StoredKey[]> {
  const rows = await select(session, { retiredAfter });
  return rows.map((row) => ({
    ...row,
    activatesAt: row.activatesAt ?? undefined,
    retiredAt: row.retiredAt ?? undefined,
  }));
}

const selectAll = statement("all_signing_keys", (p: Params<{ after: string }>) =>
  orm
    .select({ kid: signingKeys.kid, sealedPrivateKey: signingKeys.sealedPrivateKey })
    .from(signingKeys)
    .where(gt(signingKeys.kid, p.after)),
);

/** Every key that ever signed, sealed as it is. */
export const allSealedKeys = (session: Session): Promise<Pick<StoredKey, "kid" | "sealedPrivateKey">[]> =>
  selectAll(session, { after: "" });

const reseal = sqlStatement<{ kid: string; sealedPrivateKey: Uint8Array }, object>(
  (p) =>
    sql`update auth.signing_keys set sealed_private_key = ${p.sealedPrivateKey}::bytea where kid = ${p.kid}`,
);

/** Stores a private key that was sealed anew. */
export async function storeSealedKey(
  session: Session,
  kid: string,
  sealedPrivateKey: Uint8Array,
): Promise<void> {
  await reseal(session, { kid, sealedPrivateKey });
}

const insert = sqlStatement<
  { kid: string; publicJwk: string; sealedPrivateKey: Uint8Array; now: Date },
  object
>(
  (p) => sql`insert into auth.signing_keys (kid, generation, public_jwk, sealed_private_key, created_at)
    select ${p.kid}, coalesce(max(generation), 0) + 1, ${p.publicJwk}::text::jsonb, ${p.sealedPrivateKey}::bytea,
      ${p.now}::timestamptz
    from auth.signing_keys having count(*) filter (where retired_at is null) = 0
    on conflict (generation) do nothing`,
);

/** Stores a key if none is in use; when several processes do so at once, the unique generation lets one through. */
export async function insertFirstKey(
  session: Session,
  { kid, publicJwk, sealedPrivateKey }: NewKey,
  now: Date,
): Promise<void> {
  await insert(session, { kid, sealedPrivateKey, publicJwk: JSON.stringify(publicJwk), now });
}

const lock = sqlStatement<object, object>(
  () => sql`select pg_advisory_xact_lock(hashtextextended('auth/signing-keys', 0))`,
);

const retire = sqlStatement<{ at: Date }, object>(
  (p) => sql`update auth.signing_keys set retired_at = ${p.at}::timestamptz where retired_at is null`,
);

const insertNext = sqlStatement<
  { kid: string; publicJwk: string; sealedPrivateKey: Uint8Array; now: Date; activatesAt: Date },
  object
>(
  (
    p,
  ) => sql`insert into auth.signing_keys (kid, generation, public_jwk, sealed_private_key, created_at, activates_at)
    select ${p.kid}, coalesce(max(generation), 0) + 1, ${p.publicJwk}::text::jsonb, ${p.sealedPrivateKey}::bytea,
      ${p.now}::timestamptz, ${p.activatesAt}::timestamptz
    from auth.signing_keys`,
);

/** Stores the key that signs from an instant on, in the place of those before it. Two at once come one after the other. */
export async function insertNextKey(tx: Tx, key: NewKey, now: Date, activatesAt: Date): Promise<void> {
  await lock(tx, {});
  await retire(tx, { at: activatesAt });
  const { kid, publicJwk, sealedPrivateKey } = key;
  await insertNext(tx, { kid, sealedPrivateKey, publicJwk: JSON.stringify(publicJwk), now, activatesAt });
}

const deleteRetired = sqlStatement<{ before: Date }, object>(
  (p) => sql`delete from auth.signing_keys where retired_at < ${p.before}::timestamptz`,
);

/** Deletes the keys that were retired before an instant. */
export async function deleteRetiredKeys(session: Session, before: Date): Promise<void> {
  await deleteRetired(session, { before });
}

import { accounts, apiKeys } from "@mall/db/auth";
import type { Session, Tx } from "@mall/kernel/db/client";
import { orm, type Params, sqlStatement, statement } from "@mall/kernel/db/statement";
import { type Id, idOf, uuidOf } from "@mall/kernel/id";
import { and, asc, eq, gt, isNull, sql } from "drizzle-orm";
import type { ApiKey, StoredSecret } from "../domain/api-key";

type Row = typeof apiKeys.$inferSelect;

const rowToKey = (row: Row): ApiKey => ({
  id: row.id,
  userId: row.userId,
  name: row.name,
  prefix: row.prefix,
  scopes: row.scopes,
  createdAt: row.createdAt,
  expiresAt: row.expiresAt,
  lastUsedAt: row.lastUsedAt ?? undefined,
  revokedAt: row.revokedAt ?? undefined,
});

const rowToSecret = ({ secretHash, previousHash, previousUntil }: Row): StoredSecret => ({
  hash: secretHash,
  previous: previousHash && previousUntil ? { hash: previousHash, until: previousUntil } : undefined,
});

type NewKey = ApiKey & { hash: Uint8Array };

const insert = statement("insert_api_key", (p: Params<NewKey>) =>
  orm.insert(apiKeys).values({
    id: p.id,
    userId: p.userId,
    name: p.name,
    prefix: p.prefix,
    scopes: p.scopes,
    secretHash: p.hash,
    createdAt: p.createdAt,
    expiresAt: p.expiresAt,
  }),
);

/** Stores a new key. */
export async function insertKey(tx: Tx, key: ApiKey, hash: Uint8Array): Promise<void> {
  await insert(tx, { ...key, hash });
}

const lockOwner = sqlStatement<{ userId: string }, { roles: string[] }>(
  (p) => sql`select to_json(roles) as roles from auth.accounts where id = ${p.userId} for no key update`,
);

/** Roles of a user who makes a key; another key of the same user waits until this one is made. */
export async function lockCreator(tx: Tx, userId: Id<"usr">): Promise<string[]> {
  return (await lockOwner(tx, { userId: uuidOf(userId) }))[0]?.roles ?? [];
}

const countLive = sqlStatement<{ userId: string; now: Date }, { n: number }>(
  (p) => sql`select count(*)::int as n from auth.api_keys
    where user_id = ${p.userId} and revoked_at is null and expires_at > ${p.now}`,
);

/** How many keys of a user work. */
export const countLiveKeys = async (tx: Tx, userId: Id<"usr">, now: Date): Promise<number> =>
  (await countLive(tx, { userId: uuidOf(userId), now }))[0]!.n;

const select = statement("list_api_keys", (p: Params<{ userId: string; after: string; limit: number }>) =>
  orm
    .select()
    .from(apiKeys)
    .where(and(eq(apiKeys.userId, p.userId), gt(apiKeys.id, p.after)))
    .orderBy(asc(apiKeys.id))
    .limit(p.limit),
);

const firstId = idOf("key", "00000000-0000-0000-0000-000000000000");

/** Up to `limit` keys of a user after one, oldest first. */
export const listKeys = async (
  session: Session,
  userId: Id<"usr">,
  after: string | undefined,
  limit: number,
): Promise<ApiKey[]> => (await select(session, { userId, after: after ?? firstId, limit })).map(rowToKey);

interface Rotation {
  id: string;
  userId: string;
  hash: Uint8Array;
  previousUntil: Date;
  expiresAt: Date;
  now: Date;
}

const liveKeyOf = (p: Params<{ id: string; userId: string; now: Date }>) =>
  and(
    eq(apiKeys.id, p.id),
    eq(apiKeys.userId, p.userId),
    isNull(apiKeys.revokedAt),
    gt(apiKeys.expiresAt, p.now),
  );

const rotate = statement("rotate_api_key", (p: Params<Rotation>) =>
  orm
    .update(apiKeys)
    .set({
      secretHash: p.hash,
      previousHash: sql`${apiKeys.secretHash}`,
      previousUntil: p.previousUntil,
      expiresAt: p.expiresAt,
    })
    .where(liveKeyOf(p))
    .returning(),
);

/** Replaces the secret of a user's key that works; undefined when there is none such. */
export async function rotateKey(session: Session, rotation: Rotation): Promise<ApiKey | undefined> {
  const [row] = await rotate(session, rotation);
  return row && rowToKey(row);
}

const revoke = statement("revoke_api_key", (p: Params<{ id: string; userId: string; now: Date }>) =>
  orm.update(apiKeys).set({ revokedAt: p.now }).where(liveKeyOf(p)).returning({ id: apiKeys.id }),
);

/** Ends a user's key that works; false when there is none such. */
export const revokeKey = async (
  session: Session,
  id: Id<"key">,
  userId: Id<"usr">,
  now: Date,
): Promise<boolean> => (await revoke(session, { id, userId, now })).length === 1;

const selectByPrefix = statement("find_api_key", (p: Params<{ prefix: string }>) =>
  orm
    .select({ key: apiKeys, roles: accounts.roles })
    .from(apiKeys)
    .innerJoin(accounts, and(eq(accounts.id, apiKeys.userId), isNull(accounts.bannedAt)))
    .where(eq(apiKeys.prefix, p.prefix)),
);

/** A key by its prefix, what its secret must be, and the roles that its creator has now, who must not be banned. */
export async function findKey(
  session: Session,
  prefix: string,
): Promise<{ key: ApiKey; secret: StoredSecret; roles: string[] } | undefined> {
  const [row] = await selectByPrefix(session, { prefix });
  return row && { key: rowToKey(row.key), secret: rowToSecret(row.key), roles: row.roles };
}

const touch = statement("touch_api_key", (p: Params<{ id: string; now: Date }>) =>
  orm.update(apiKeys).set({ lastUsedAt: p.now }).where(eq(apiKeys.id, p.id)),
);

/** Writes down that a key was used. */
export async function noteUse(session: Session, id: Id<"key">, now: Date): Promise<void> {
  await touch(session, { id, now });
}

const removeAll = statement("delete_api_keys", (p: Params<{ userId: string }>) =>
  orm.delete(apiKeys).where(eq(apiKeys.userId, p.userId)),
);

/** Deletes all keys of a user. */
export async function deleteKeysOf(tx: Tx, userId: Id<"usr">): Promise<void> {
  await removeAll(tx, { userId });
}

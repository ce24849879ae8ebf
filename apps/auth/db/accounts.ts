import { accounts } from "@mall/db/auth";
import type { Session, Tx } from "@mall/kernel/db/client";
import { orm, type Params, sqlStatement, statement } from "@mall/kernel/db/statement";
import { type Id, idOf, uuidOf } from "@mall/kernel/id";
import { and, eq, getTableColumns, isNull, sql } from "drizzle-orm";
import type { Account, Role } from "../domain/account";
import { type Recorded, recordedAt, revokeChanged } from "./revocations";

type Row = Omit<typeof accounts.$inferSelect, "erasedAt">;

const { erasedAt, ...columns } = getTableColumns(accounts);

const rowToAccount = ({ passwordHash: _, ...row }: Row): Account => ({
  ...row,
  roles: row.roles as Role[],
  emailVerifiedAt: row.emailVerifiedAt ?? undefined,
});

const selectById = statement("find_account", (p: Params<{ id: string }>) =>
  orm
    .select(columns)
    .from(accounts)
    .where(and(eq(accounts.id, p.id), isNull(erasedAt))),
);

/** An account and the hash of its password. */
export interface Credentials {
  account: Account;
  passwordHash: string;
}

/** An account by its id, with the hash of its password. One without a person is there for nobody. */
export async function findCredentialsOf(session: Session, id: Id<"usr">): Promise<Credentials | undefined> {
  const [row] = await selectById(session, { id });
  return row && { account: rowToAccount(row), passwordHash: row.passwordHash };
}

/** An account by its id. */
export const findAccount = async (session: Session, id: Id<"usr">): Promise<Account | undefined> =>
  (await findCredentialsOf(session, id))?.account;

const selectByEmail = statement("find_account_by_email", (p: Params<{ email: string }>) =>
  orm.select(columns).from(accounts).where(eq(accounts.email, p.email)),
);

/** The account of a normalised address and the hash of its password. */
export async function findCredentials(session: Session, email: string): Promise<Credentials | undefined> {
  const [row] = await selectByEmail(session, { email });
  return row && { account: rowToAccount(row), passwordHash: row.passwordHash };
}

const insert = statement("insert_account", (p: Params<Omit<Row, "emailVerifiedAt">>) =>
  orm
    .insert(accounts)
    .values({
      id: p.id,
      email: p.email,
      displayName: p.displayName,
      passwordHash: p.passwordHash,
      roles: p.roles,
      tokenVersion: p.tokenVersion,
      createdAt: p.createdAt,
    })
    .onConflictDoNothing({ target: accounts.email })
    .returning({ id: accounts.id }),
);

/** Inserts an account; false when its address has one already. */
export const insertAccount = async (
  session: Session,
  account: Account,
  passwordHash: string,
): Promise<boolean> => (await insert(session, { ...account, passwordHash })).length === 1;

const replaceHash = statement(
  "replace_password_hash",
  (p: Params<{ id: string; from: string; to: string }>) =>
    orm
      .update(accounts)
      .set({ passwordHash: p.to })
      .where(sql`${accounts.id} = ${p.id} and ${accounts.passwordHash} = ${p.from}`)
      .returning({ id: accounts.id }),
);

/** Replaces a hash by another one of the same password, unless the password was changed meanwhile. */
export async function upgradePasswordHash(
  session: Session,
  id: Id<"usr">,
  from: string,
  to: string,
): Promise<void> {
  await replaceHash(session, { id, from, to });
}

const addRoles = sqlStatement<{ email: string; roles: string } & Recorded, { id: string }>(
  (p) => sql`with changed as (
    update auth.accounts set token_version = token_version + 1,
      roles = (select array_agg(distinct role) from unnest(roles || string_to_array(${p.roles}, ',')) as role)
    where email = ${p.email} returning id, token_version
  ) ${revokeChanged(p)}`,
);

/** Gives the account of a normalised address more roles, which its older tokens do not know; undefined when there is none. */
export async function grantRoles(
  session: Session,
  email: string,
  roles: readonly Role[],
  now: Date,
): Promise<Id<"usr"> | undefined> {
  const [granted] = await addRoles(session, { email, roles: roles.join(","), ...recordedAt(now) });
  return granted && idOf("usr", granted.id);
}

const verify = statement("verify_address", (p: Params<{ id: string; now: Date }>) =>
  orm
    .update(accounts)
    .set({ emailVerifiedAt: p.now })
    .where(and(eq(accounts.id, p.id), isNull(erasedAt)))
    .returning(columns),
);

/** Notes that the account's address is its user's. */
export async function verifyAddress(tx: Tx, id: Id<"usr">, now: Date): Promise<Account | undefined> {
  const [row] = await verify(tx, { id, now });
  return row && rowToAccount(row);
}

const change = statement("change_address", (p: Params<{ id: string; email: string; now: Date }>) =>
  orm
    .update(accounts)
    .set({ email: p.email, emailVerifiedAt: p.now })
    .where(and(eq(accounts.id, p.id), isNull(erasedAt)))
    .returning(columns),
);

/** Gives an account another address, which is its user's. A unique violation means that it is somebody else's. */
export async function changeAddress(
  tx: Tx,
  id: Id<"usr">,
  email: string,
  now: Date,
): Promise<Account | undefined> {
  const [row] = await change(tx, { id, email, now });
  return row && rowToAccount(row);
}

const erase = sqlStatement<{ id: string; decoy: string } & Recorded, { id: string }>(
  (p) => sql`with changed as (
    update auth.accounts set erased_at = ${p.now}::timestamptz, email = id || '@erased.invalid', display_name = '',
      password_hash = ${p.decoy}, roles = '{customer}', email_verified_at = null,
      token_version = token_version + 1
    where id = ${p.id} and erased_at is null returning id, token_version
  ) ${revokeChanged(p)}`,
);

/** Takes the person out of an account and makes its tokens stale; false when there is none or it was done before. */
export async function eraseAccount(tx: Tx, id: Id<"usr">, decoy: string, now: Date): Promise<boolean> {
  return (await erase(tx, { id: uuidOf(id), decoy, ...recordedAt(now) })).length === 1;
}

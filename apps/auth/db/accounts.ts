import { accounts, dataKeys } from "@mall/db/auth";
import type { Session, Tx } from "@mall/kernel/db/client";
import { orm, type Params, sqlStatement, statement } from "@mall/kernel/db/statement";
import { type Id, idOf, uuidOf } from "@mall/kernel/id";
import { nothing } from "@mall/kernel/personal/personal";
import { and, eq, isNull, or, sql } from "drizzle-orm";
import { type Account, emailTaken } from "../domain/account";
import type { People } from "./people";
import { type Recorded, recordedAt, revokeChanged } from "./revocations";

const keyOfUser = sql<Uint8Array | null>`(select k.wrapped from ${dataKeys} k where k.subject = ${accounts.id})`;
const withKey = { account: accounts, wrapped: keyOfUser };
type Row = { account: typeof accounts.$inferSelect; wrapped: Uint8Array | null };

/** The account of a row, of one that was not sealed yet from its clear columns; undefined once the user was erased. */
function rowToAccount(people: People, { account: row, wrapped }: Row): Account | undefined {
  const { id, personal, email, displayName, roles, tokenVersion, createdAt, emailVerifiedAt } = row;
  const person = personal
    ? people.open({ subject: id, wrapped }, id, personal)
    : { email: email!, displayName };
  if (!person) return undefined;
  const common = { id, ...person, roles, tokenVersion, createdAt };
  return emailVerifiedAt ? { ...common, emailVerifiedAt } : common;
}

const selectById = statement("find_account", (p: Params<{ id: string }>) =>
  orm.select(withKey).from(accounts).where(eq(accounts.id, p.id)),
);

const selectLocked = statement("lock_account", (p: Params<{ id: string }>) =>
  orm.select(withKey).from(accounts).where(eq(accounts.id, p.id)).for("update"),
);

/** An account, the hash of its password, and whether its user may not sign in. */
export interface Credentials {
  account: Account;
  passwordHash: string;
  isBanned: boolean;
}

function rowToCredentials(people: People, row: Row | undefined): Credentials | undefined {
  const account = row && rowToAccount(people, row);
  if (!account) return undefined;
  const { passwordHash, bannedAt } = row.account;
  return { account, passwordHash, isBanned: bannedAt !== null };
}

/** An account by its id, with the hash of its password. One without a person is there for nobody. */
export const findCredentialsOf = async (
  session: Session,
  people: People,
  id: Id<"usr">,
): Promise<Credentials | undefined> => rowToCredentials(people, (await selectById(session, { id }))[0]);

/** An account by its id. */
export const findAccount = async (
  session: Session,
  people: People,
  id: Id<"usr">,
): Promise<Account | undefined> => (await findCredentialsOf(session, people, id))?.account;

const selectByEmail = statement("find_account_by_email", (p: Params<{ email: string; lookup: Uint8Array }>) =>
  orm
    .select(withKey)
    .from(accounts)
    .where(or(eq(accounts.emailLookup, p.lookup), eq(accounts.email, p.email))),
);

/** The account of a normalised address and the hash of its password. */
export async function findCredentials(
  session: Session,
  people: People,
  email: string,
): Promise<Credentials | undefined> {
  const lookup = await people.lookup(session, email);
  return rowToCredentials(people, (await selectByEmail(session, { email, lookup }))[0]);
}

interface InsertParams {
  id: string;
  email: string;
  personal: Uint8Array;
  lookup: Uint8Array;
  passwordHash: string;
  roles: string;
  tokenVersion: number;
  createdAt: Date;
}

const insert = sqlStatement<InsertParams, { id: string }>(
  (
    p,
  ) => sql`insert into auth.accounts (id, personal, email_lookup, password_hash, roles, token_version, created_at)
    select ${p.id}::uuid, ${p.personal}::bytea, ${p.lookup}::bytea, ${p.passwordHash}::text,
      string_to_array(${p.roles}::text, ','), ${p.tokenVersion}::int, ${p.createdAt}::timestamptz
    where not exists (select from auth.accounts where email = ${p.email}::text)
    on conflict (email_lookup) do nothing returning id`,
);

/** Inserts an account, its person sealed; false when its address has one already, sealed or not. */
export async function insertAccount(
  tx: Tx,
  people: People,
  account: Account,
  passwordHash: string,
): Promise<boolean> {
  const { id, email, displayName, roles, tokenVersion, createdAt } = account;
  const personal = await people.seal(tx, id, id, { email, displayName });
  if (!personal) return false;
  const lookup = await people.lookup(tx, email);
  const values = { id: uuidOf(id), email, personal, lookup, passwordHash, tokenVersion, createdAt };
  return (await insert(tx, { ...values, roles: roles.join(",") })).length === 1;
}

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

const addRoles = sqlStatement<
  { email: string; lookup: Uint8Array; roles: string } & Recorded,
  { id: string }
>(
  (p) => sql`with changed as (
    update auth.accounts set token_version = token_version + 1,
      roles = (select array_agg(distinct role) from unnest(roles || string_to_array(${p.roles}, ',')) as role)
    where email_lookup = ${p.lookup}::bytea or email = ${p.email} returning id, token_version
  ) ${revokeChanged(p)}`,
);

/** Gives the account of a normalised address more roles, which its older tokens do not know; undefined when there is none. */
export async function grantRoles(
  session: Session,
  people: People,
  email: string,
  roles: readonly string[],
  now: Date,
): Promise<Id<"usr"> | undefined> {
  const [granted] = await addRoles(session, {
    ...{ email, lookup: await people.lookup(session, email), roles: roles.join(",") },
    ...recordedAt(now),
  });
  return granted && idOf("usr", granted.id);
}

const verify = statement("verify_address", (p: Params<{ id: string; now: Date }>) =>
  orm
    .update(accounts)
    .set({ emailVerifiedAt: p.now })
    .where(and(eq(accounts.id, p.id), isNull(accounts.erasedAt)))
    .returning({ id: accounts.id }),
);

/** Notes that the account's address is its user's. */
export async function verifyAddress(
  tx: Tx,
  people: People,
  id: Id<"usr">,
  now: Date,
): Promise<Account | undefined> {
  await verify(tx, { id, now });
  return findAccount(tx, people, id);
}

const change = sqlStatement<
  { id: string; email: string; personal: Uint8Array; lookup: Uint8Array; now: Date },
  { id: string }
>(
  (p) => sql`update auth.accounts set personal = ${p.personal}::bytea, email_lookup = ${p.lookup}::bytea,
      email = null, display_name = '', email_verified_at = ${p.now}::timestamptz
    where id = ${p.id}::uuid and not exists (
      select from auth.accounts as clear where clear.email = ${p.email}::text and clear.id <> ${p.id}::uuid)
    returning id`,
);

/**
 * Gives an account another address, which is its user's; undefined when there is no such account. Throws a unique
 * violation or EMAIL_TAKEN when the address is somebody else's.
 */
export async function changeAddress(
  tx: Tx,
  people: People,
  id: Id<"usr">,
  email: string,
  now: Date,
): Promise<Account | undefined> {
  const [row] = await selectLocked(tx, { id });
  const account = row && rowToAccount(people, row);
  if (!account) return undefined;
  const { displayName } = account;
  const personal = (await people.seal(tx, id, id, { email, displayName }))!;
  const lookup = await people.lookup(tx, email);
  const changed = await change(tx, { id: uuidOf(id), email, personal, lookup, now });
  if (changed.length === 0) throw emailTaken();
  return { ...account, email, emailVerifiedAt: now };
}

const erase = sqlStatement<{ id: string; decoy: string; nothing: Uint8Array } & Recorded, { id: string }>(
  (p) => sql`with changed as (
    update auth.accounts set erased_at = ${p.now}::timestamptz, personal = ${p.nothing}::bytea, email_lookup = null,
      email = null, display_name = '', password_hash = ${p.decoy}, roles = '{customer}', email_verified_at = null,
      token_version = token_version + 1
    where id = ${p.id} and erased_at is null returning id, token_version
  ) ${revokeChanged(p)}`,
);

/**
 * Takes the person out of an account and makes its tokens stale; false when there is none or it was done before. Its
 * address is free again.
 */
export async function eraseAccount(
  tx: Tx,
  people: People,
  id: Id<"usr">,
  decoy: string,
  now: Date,
): Promise<boolean> {
  const erased = await erase(tx, { id: uuidOf(id), decoy, nothing, ...recordedAt(now) });
  if (erased.length === 1) await people.erase(tx, id);
  return erased.length === 1;
}

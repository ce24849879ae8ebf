import { accounts, dataKeys } from "@mall/db/auth";
import type { Session, Tx } from "@mall/kernel/db/client";
import { orm, type Params, sqlStatement, statement } from "@mall/kernel/db/statement";
import { type Id, idOf, uuidOf } from "@mall/kernel/id";
import { eq, or, sql } from "drizzle-orm";
import type { Account, Role } from "../domain/account";
import type { People } from "./people";
import { type Recorded, recordedAt, revokeChanged } from "./revocations";

const keyOfUser = sql<Uint8Array | null>`(select k.wrapped from ${dataKeys} k where k.subject = ${accounts.id})`;
const withKey = { account: accounts, wrapped: keyOfUser };
type Row = { account: typeof accounts.$inferSelect; wrapped: Uint8Array | null };

/** The account of a row, of one that was not sealed yet from its clear columns; undefined once the user was erased. */
function rowToAccount(people: People, { account: row, wrapped }: Row): Account | undefined {
  const { id, personal, email, displayName, roles, tokenVersion, createdAt } = row;
  const person = personal
    ? people.open({ subject: id, wrapped }, id, personal)
    : { email: email!, displayName };
  return person && { id, ...person, roles: roles as Role[], tokenVersion, createdAt };
}

const selectById = statement("find_account", (p: Params<{ id: string }>) =>
  orm.select(withKey).from(accounts).where(eq(accounts.id, p.id)),
);

/** An account by its id. */
export async function findAccount(
  session: Session,
  people: People,
  id: Id<"usr">,
): Promise<Account | undefined> {
  const [row] = await selectById(session, { id });
  return row && rowToAccount(people, row);
}

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
): Promise<{ account: Account; passwordHash: string } | undefined> {
  const [row] = await selectByEmail(session, { email, lookup: await people.lookup(session, email) });
  const account = row && rowToAccount(people, row);
  return account && { account, passwordHash: row.account.passwordHash };
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
  roles: readonly Role[],
  now: Date,
): Promise<Id<"usr"> | undefined> {
  const [granted] = await addRoles(session, {
    ...{ email, lookup: await people.lookup(session, email), roles: roles.join(",") },
    ...recordedAt(now),
  });
  return granted && idOf("usr", granted.id);
}

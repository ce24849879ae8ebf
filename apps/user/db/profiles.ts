import { dataKeys, profiles } from "@mall/db/user";
import type { Session, Tx } from "@mall/kernel/db/client";
import { orm, type Params, statement } from "@mall/kernel/db/statement";
import type { Id } from "@mall/kernel/id";
import type { PersonalRows } from "@mall/kernel/personal/personal";
import { eq, sql } from "drizzle-orm";
import type { Person, Profile } from "../domain/profile";

/** What is personal in profiles. */
type People = PersonalRows<Person>;

const keyOfUser = sql<Uint8Array | null>`(select k.wrapped from ${dataKeys} k where k.subject = ${profiles.id})`;
const withKey = { profile: profiles, wrapped: keyOfUser };
type Row = { profile: typeof profiles.$inferSelect; wrapped: Uint8Array | null };

/** The profile of a row, of one that was not sealed yet from its clear columns; undefined once the user was erased. */
function rowToProfile(people: People, row: Row | undefined): Profile | undefined {
  if (!row) return undefined;
  const { id, personal, version, createdAt, updatedAt, email, displayName, phone } = row.profile;
  const person = personal
    ? people.open({ subject: id, wrapped: row.wrapped }, id, personal)
    : { email, displayName, phone };
  return person && { id, ...person, version, createdAt, updatedAt };
}

const sealed = (tx: Session, people: People, { id, email, displayName, phone }: Profile) =>
  people.seal(tx, id, id, { email, displayName, phone });

const select = statement("find_profile", (p: Params<{ id: string }>) =>
  orm.select(withKey).from(profiles).where(eq(profiles.id, p.id)),
);

/** A user's profile. */
export const findProfile = async (
  session: Session,
  people: People,
  id: Id<"usr">,
): Promise<Profile | undefined> => rowToProfile(people, (await select(session, { id }))[0]);

const selectLocked = statement("lock_profile", (p: Params<{ id: string }>) =>
  orm.select(withKey).from(profiles).where(eq(profiles.id, p.id)).for("update"),
);

/** A user's profile, which nobody else can change until the transaction ends. */
export const lockProfile = async (tx: Tx, people: People, id: Id<"usr">): Promise<Profile | undefined> =>
  rowToProfile(people, (await selectLocked(tx, { id }))[0]);

type Inserted = Pick<Profile, "id" | "version" | "createdAt" | "updatedAt"> & { personal: Uint8Array };

const insert = statement("insert_profile", (p: Params<Inserted>) =>
  orm
    .insert(profiles)
    .values({
      id: p.id,
      personal: p.personal,
      version: p.version,
      createdAt: p.createdAt,
      updatedAt: p.updatedAt,
    })
    .onConflictDoNothing({ target: profiles.id }),
);

/** Inserts a profile; an existing one stays as it is, and an erased user gets none. */
export async function insertProfile(tx: Tx, people: People, profile: Profile): Promise<void> {
  const personal = await sealed(tx, people, profile);
  const { id, version, createdAt, updatedAt } = profile;
  if (personal) await insert(tx, { id, personal, version, createdAt, updatedAt });
}

const update = statement("update_profile", (p: Params<Omit<Inserted, "createdAt">>) =>
  orm
    .update(profiles)
    .set({
      ...{ personal: p.personal, email: "", displayName: "", phone: "" },
      ...{ version: p.version, updatedAt: p.updatedAt },
    })
    .where(eq(profiles.id, p.id)),
);

/** Writes a changed profile that this transaction has locked; nothing of a user who was erased meanwhile. */
export async function updateProfile(tx: Tx, people: People, profile: Profile): Promise<void> {
  const personal = await sealed(tx, people, profile);
  const { id, version, updatedAt } = profile;
  if (personal) await update(tx, { id, personal, version, updatedAt });
}

import { dataKeys, profiles } from "@mall/db/user";
import type { Session, Tx } from "@mall/kernel/db/client";
import { orm, type Params, statement } from "@mall/kernel/db/statement";
import type { Id } from "@mall/kernel/id";
import { nothing, type PersonalRows } from "@mall/kernel/personal/personal";
import { and, desc, eq, isNull, lt, type Placeholder, sql } from "drizzle-orm";
import type { Person, Profile } from "../domain/profile";

/** What is personal in profiles. */
type People = PersonalRows<Person>;

/** What was deleted is there for nobody. */
const live = (id: Placeholder) => and(eq(profiles.id, id), isNull(profiles.deletedAt));

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
  orm.select(withKey).from(profiles).where(live(p.id)),
);

/** A user's profile. */
export const findProfile = async (
  session: Session,
  people: People,
  id: Id<"usr">,
): Promise<Profile | undefined> => rowToProfile(people, (await select(session, { id }))[0]);

const selectLocked = statement("lock_profile", (p: Params<{ id: string }>) =>
  orm.select(withKey).from(profiles).where(live(p.id)).for("update"),
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

const note = statement("note_email_sequence", (p: Params<{ id: string; sequence: number }>) =>
  orm
    .update(profiles)
    .set({ emailSequence: p.sequence })
    .where(and(live(p.id), lt(profiles.emailSequence, p.sequence)))
    .returning({ id: profiles.id }),
);

/** Notes the sequence of news about the address of a profile; false when news of this or a later one came before. */
export const noteEmailSequence = async (tx: Tx, id: Id<"usr">, sequence: number): Promise<boolean> =>
  (await note(tx, { id, sequence })).length === 1;

const selectPage = statement("list_profiles", (p: Params<{ before: string; limit: number }>) =>
  orm
    .select(withKey)
    .from(profiles)
    .where(and(lt(profiles.id, p.before), isNull(profiles.deletedAt)))
    .orderBy(desc(profiles.id))
    .limit(p.limit),
);

/** Up to `limit` rows of users older than `before`, newest first; a row has no profile when its user was erased. */
export async function listProfiles(
  session: Session,
  people: People,
  before: Id<"usr">,
  limit: number,
): Promise<{ id: Id<"usr">; profile?: Profile }[]> {
  const rows = await selectPage(session, { before, limit });
  return rows.map((row) => ({ id: row.profile.id, profile: rowToProfile(people, row) }));
}

const bury = statement("bury_profile", (p: Params<{ id: string; nothing: Uint8Array; now: Date }>) =>
  orm
    .insert(profiles)
    .values({ id: p.id, personal: p.nothing, createdAt: p.now, updatedAt: p.now, deletedAt: p.now })
    .onConflictDoUpdate({
      target: profiles.id,
      set: {
        ...{ personal: p.nothing, email: "", displayName: "", phone: "" },
        ...{ version: sql`${profiles.version} + 1`, updatedAt: p.now, deletedAt: p.now },
      },
      setWhere: isNull(profiles.deletedAt),
    })
    .returning({ version: profiles.version }),
);

/**
 * Leaves nothing of a profile but that it was deleted, also when there was none yet: nobody makes it again. Returns its
 * last version; undefined when it was deleted before.
 */
export const buryProfile = async (tx: Tx, id: Id<"usr">, now: Date): Promise<number | undefined> =>
  (await bury(tx, { id, nothing, now }))[0]?.version;

import { profiles } from "@mall/db/user";
import type { Session, Tx } from "@mall/kernel/db/client";
import { orm, type Params, statement } from "@mall/kernel/db/statement";
import type { Id } from "@mall/kernel/id";
import { and, desc, eq, getTableColumns, isNull, lt, type Placeholder, sql } from "drizzle-orm";
import type { Profile } from "../domain/profile";

type Row = Omit<typeof profiles.$inferSelect, "deletedAt" | "emailSequence">;

const { deletedAt, emailSequence, ...columns } = getTableColumns(profiles);
const nothing = { email: "", displayName: "", phone: "" };

/** What was deleted is there for nobody. */
const live = (id: Placeholder) => and(eq(profiles.id, id), isNull(deletedAt));

const select = statement("find_profile", (p: Params<{ id: string }>) =>
  orm.select(columns).from(profiles).where(live(p.id)),
);

/** A user's profile. */
export const findProfile = async (session: Session, id: Id<"usr">): Promise<Profile | undefined> =>
  (await select(session, { id }))[0];

const selectLocked = statement("lock_profile", (p: Params<{ id: string }>) =>
  orm.select(columns).from(profiles).where(live(p.id)).for("update"),
);

/** A user's profile, which nobody else can change until the transaction ends. */
export const lockProfile = async (tx: Tx, id: Id<"usr">): Promise<Profile | undefined> =>
  (await selectLocked(tx, { id }))[0];

const insert = statement("insert_profile", (p: Params<Row>) =>
  orm
    .insert(profiles)
    .values({
      id: p.id,
      email: p.email,
      displayName: p.displayName,
      phone: p.phone,
      version: p.version,
      createdAt: p.createdAt,
      updatedAt: p.updatedAt,
    })
    .onConflictDoNothing({ target: profiles.id }),
);

/** Inserts a profile; an existing one stays as it is, a deleted one stays deleted. */
export async function insertProfile(session: Session, profile: Profile): Promise<void> {
  await insert(session, profile);
}

const update = statement("update_profile", (p: Params<Omit<Row, "email" | "createdAt">>) =>
  orm
    .update(profiles)
    .set({ displayName: p.displayName, phone: p.phone, version: p.version, updatedAt: p.updatedAt })
    .where(eq(profiles.id, p.id)),
);

/** Writes a changed profile that this transaction has locked. */
export async function updateProfile(tx: Tx, profile: Profile): Promise<void> {
  await update(tx, profile);
}

interface NewEmail {
  email: string;
  sequence: number;
  now: Date;
}

const replace = statement("replace_email", (p: Params<NewEmail & { id: string }>) =>
  orm
    .update(profiles)
    .set({
      email: p.email,
      emailSequence: p.sequence,
      version: sql`${profiles.version} + 1`,
      updatedAt: p.now,
    })
    .where(and(live(p.id), lt(emailSequence, p.sequence))),
);

/** Writes the address of a profile unless it has one of this or a later sequence. */
export async function replaceEmail(tx: Tx, id: Id<"usr">, news: NewEmail): Promise<void> {
  await replace(tx, { ...news, id });
}

const selectPage = statement("list_profiles", (p: Params<{ before: string; limit: number }>) =>
  orm
    .select(columns)
    .from(profiles)
    .where(and(lt(profiles.id, p.before), isNull(deletedAt)))
    .orderBy(desc(profiles.id))
    .limit(p.limit),
);

/** Up to `limit` profiles of users older than `before`, newest first. */
export const listProfiles = (session: Session, before: Id<"usr">, limit: number): Promise<Profile[]> =>
  selectPage(session, { before, limit });

const bury = statement("bury_profile", (p: Params<{ id: string; now: Date }>) =>
  orm
    .insert(profiles)
    .values({ id: p.id, ...nothing, createdAt: p.now, updatedAt: p.now, deletedAt: p.now })
    .onConflictDoUpdate({
      target: profiles.id,
      set: { ...nothing, version: sql`${profiles.version} + 1`, updatedAt: p.now, deletedAt: p.now },
      setWhere: isNull(deletedAt),
    })
    .returning({ version: profiles.version }),
);

/**
 * Leaves nothing of a profile but that it was deleted, also when there was none yet: nobody makes it again. Returns its
 * last version; undefined when it was deleted before.
 */
export const buryProfile = async (tx: Tx, id: Id<"usr">, now: Date): Promise<number | undefined> =>
  (await bury(tx, { id, now }))[0]?.version;

import { profiles } from "@mall/db/user";
import type { Session, Tx } from "@mall/kernel/db/client";
import { orm, type Params, statement } from "@mall/kernel/db/statement";
import type { Id } from "@mall/kernel/id";
import { eq } from "drizzle-orm";
import type { Profile } from "../domain/profile";

type Row = typeof profiles.$inferSelect;

const select = statement("find_profile", (p: Params<{ id: string }>) =>
  orm.select().from(profiles).where(eq(profiles.id, p.id)),
);

/** A user's profile. */
export const findProfile = async (session: Session, id: Id<"usr">): Promise<Profile | undefined> =>
  (await select(session, { id }))[0];

const selectLocked = statement("lock_profile", (p: Params<{ id: string }>) =>
  orm.select().from(profiles).where(eq(profiles.id, p.id)).for("update"),
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

/** Inserts a profile; an existing one stays as it is. */
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

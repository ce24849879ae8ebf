import { addresses } from "@mall/db/user";
import type { Session, Tx } from "@mall/kernel/db/client";
import { orm, type Params, statement } from "@mall/kernel/db/statement";
import type { Id } from "@mall/kernel/id";
import { and, desc, eq, sql } from "drizzle-orm";
import type { SavedAddress } from "../domain/address";

const select = statement("list_addresses", (p: Params<{ userId: string }>) =>
  orm
    .select()
    .from(addresses)
    .where(eq(addresses.userId, p.userId))
    .orderBy(desc(addresses.isDefault), desc(addresses.id)),
);

/** All addresses of a user, the default first, then the newest. */
export const findAddresses = async (session: Session, userId: Id<"usr">): Promise<SavedAddress[]> =>
  (await select(session, { userId })).map(({ userId: _, ...saved }) => saved);

interface WriteParams {
  id: string;
  userId: string;
  /** JSON. */
  address: string;
  isDefault: boolean;
  version: number;
  createdAt: Date;
  updatedAt: Date;
}

const write = statement("write_address", (p: Params<WriteParams>) =>
  orm
    .insert(addresses)
    .values({
      id: p.id,
      userId: p.userId,
      address: sql`${p.address}::text::jsonb`,
      isDefault: p.isDefault,
      version: p.version,
      createdAt: p.createdAt,
      updatedAt: p.updatedAt,
    })
    .onConflictDoUpdate({
      target: addresses.id,
      set: {
        address: sql`excluded.address`,
        isDefault: sql`excluded.is_default`,
        version: sql`excluded.version`,
        updatedAt: sql`excluded.updated_at`,
      },
    }),
);

const demote = statement("demote_default_address", (p: Params<{ userId: string; id: string; now: Date }>) =>
  orm
    .update(addresses)
    .set({ isDefault: false, version: sql`${addresses.version} + 1`, updatedAt: p.now })
    .where(and(eq(addresses.userId, p.userId), sql`${addresses.isDefault}`, sql`${addresses.id} <> ${p.id}`)),
);

/** Writes a new or changed address of a user whose profile this transaction has locked; a new default takes the place of the old one. */
export async function saveAddress(tx: Tx, userId: Id<"usr">, saved: SavedAddress): Promise<void> {
  if (saved.isDefault) await demote(tx, { userId, id: saved.id, now: saved.updatedAt });
  await write(tx, { ...saved, userId, address: JSON.stringify(saved.address) });
}

const remove = statement("delete_address", (p: Params<{ id: string }>) =>
  orm.delete(addresses).where(eq(addresses.id, p.id)),
);

/** Deletes an address of a user whose profile this transaction has locked. */
export async function deleteAddress(tx: Tx, id: Id<"adr">): Promise<void> {
  await remove(tx, { id });
}

const removeAll = statement("delete_addresses", (p: Params<{ userId: string }>) =>
  orm.delete(addresses).where(eq(addresses.userId, p.userId)),
);

/** Deletes all addresses of a user. */
export async function deleteAddresses(tx: Tx, userId: Id<"usr">): Promise<void> {
  await removeAll(tx, { userId });
}

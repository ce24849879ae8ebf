import { addresses, dataKeys } from "@mall/db/user";
import type { Session, Tx } from "@mall/kernel/db/client";
import { orm, type Params, statement } from "@mall/kernel/db/statement";
import type { Id } from "@mall/kernel/id";
import type { PersonalRows } from "@mall/kernel/personal/personal";
import { and, desc, eq, sql } from "drizzle-orm";
import type { Address, SavedAddress } from "../domain/address";

/** What is personal in addresses. */
type Places = PersonalRows<Address>;

const select = statement("list_addresses", (p: Params<{ userId: string }>) =>
  orm
    .select({ saved: addresses, wrapped: dataKeys.wrapped })
    .from(addresses)
    .leftJoin(dataKeys, eq(dataKeys.subject, sql`${addresses.userId}`))
    .where(eq(addresses.userId, p.userId))
    .orderBy(desc(addresses.isDefault), desc(addresses.id)),
);

/** All addresses of a user, the default first, then the newest; none once the user was erased. */
export async function findAddresses(
  session: Session,
  places: Places,
  userId: Id<"usr">,
): Promise<SavedAddress[]> {
  const rows = await select(session, { userId });
  return rows.flatMap(({ saved: { personal, userId: subject, ...saved }, wrapped }) => {
    const address = places.open({ subject, wrapped }, saved.id, personal);
    return address ? [{ ...saved, address }] : [];
  });
}

interface WriteParams {
  id: string;
  userId: string;
  personal: Uint8Array;
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
      personal: p.personal,
      isDefault: p.isDefault,
      version: p.version,
      createdAt: p.createdAt,
      updatedAt: p.updatedAt,
    })
    .onConflictDoUpdate({
      target: addresses.id,
      set: {
        personal: sql`excluded.personal`,
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

/**
 * Writes a new or changed address of a user whose profile this transaction has locked; a new default takes the place of
 * the old one. Nothing of a user who was erased meanwhile.
 */
export async function saveAddress(
  tx: Tx,
  places: Places,
  userId: Id<"usr">,
  { address, ...saved }: SavedAddress,
): Promise<void> {
  const personal = await places.seal(tx, userId, saved.id, address);
  if (!personal) return;
  if (saved.isDefault) await demote(tx, { userId, id: saved.id, now: saved.updatedAt });
  await write(tx, { ...saved, userId, personal });
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

import { sql } from "drizzle-orm";
import { boolean, check, index, integer, pgSchema, text, uniqueIndex } from "drizzle-orm/pg-core";
import { idColumn } from "./id";
import { bytea, instant, kernelTables } from "./kernel";

export const user = pgSchema("user");

/** What users tell about themselves; the account itself is the auth service's. */
export const profiles = user.table(
  "profiles",
  {
    id: idColumn("usr")("id").primaryKey(),
    /** E-mail address, name and phone, sealed with the key of the user; null in rows from before they were. */
    personal: bytea("personal"),
    /** Sequence of the last news about the address that were heeded. */
    emailSequence: integer("email_sequence").notNull().default(0),
    /** In the clear until the row is sealed, then empty; so are the next two. */
    email: text("email").notNull().default(""),
    displayName: text("display_name").notNull().default(""),
    phone: text("phone").notNull().default(""),
    version: integer("version").notNull().default(1),
    createdAt: instant("created_at").notNull(),
    updatedAt: instant("updated_at").notNull(),
    /** Set when the user was deleted: the row then says nothing but that, so that nobody makes the profile again. */
    deletedAt: instant("deleted_at"),
  },
  (t) => [
    check("profiles_version", sql`${t.version} >= 1`),
    index("profiles_clear").on(t.id).where(sql`${t.personal} is null`),
    check(
      "profiles_sealed",
      sql`${t.personal} is null or (${t.email} = '' and ${t.displayName} = '' and ${t.phone} = '')`,
    ),
    check("profiles_deleted", sql`${t.deletedAt} is null or length(${t.personal}) = 0`),
  ],
);

/** Addresses that users keep. */
export const addresses = user.table(
  "addresses",
  {
    id: idColumn("adr")("id").primaryKey(),
    userId: idColumn("usr")("user_id")
      .notNull()
      .references(() => profiles.id),
    /** Where it is, sealed with the key of the user. */
    personal: bytea("personal").notNull(),
    isDefault: boolean("is_default").notNull(),
    version: integer("version").notNull().default(1),
    createdAt: instant("created_at").notNull(),
    updatedAt: instant("updated_at").notNull(),
  },
  (t) => [
    index("addresses_by_user").on(t.userId, t.id),
    uniqueIndex("addresses_default").on(t.userId).where(sql`${t.isDefault}`),
    check("addresses_version", sql`${t.version} >= 1`),
  ],
);

export const {
  dataKeys,
  outbox,
  inbox,
  deadLetters,
  idempotency,
  auditEvents,
  auditPending,
  auditSeals,
  auditHeads,
} = kernelTables(user);

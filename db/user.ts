import { sql } from "drizzle-orm";
import { boolean, check, index, integer, jsonb, pgSchema, text, uniqueIndex } from "drizzle-orm/pg-core";
import { idColumn } from "./id";
import { instant, kernelTables } from "./kernel";

export const user = pgSchema("user");

/** What users tell about themselves; the account itself is the auth service's. */
export const profiles = user.table(
  "profiles",
  {
    id: idColumn("usr")("id").primaryKey(),
    /** Address of the account. */
    email: text("email").notNull(),
    /** Sequence of the last news about the address that were heeded. */
    emailSequence: integer("email_sequence").notNull().default(0),
    displayName: text("display_name").notNull(),
    /** E.164, or empty. */
    phone: text("phone").notNull().default(""),
    version: integer("version").notNull().default(1),
    createdAt: instant("created_at").notNull(),
    updatedAt: instant("updated_at").notNull(),
    /** Set when the user was deleted: the row then says nothing but that, so that nobody makes the profile again. */
    deletedAt: instant("deleted_at"),
  },
  (t) => [
    check("profiles_version", sql`${t.version} >= 1`),
    check("profiles_phone", sql`${t.phone} ~ '^([+][1-9][0-9]{6,14})?$'`),
    check(
      "profiles_display_name",
      sql`length(${t.displayName}) between 1 and 100 or ${t.deletedAt} is not null`,
    ),
    check(
      "profiles_deleted",
      sql`${t.deletedAt} is null or (${t.email} = '' and ${t.displayName} = '' and ${t.phone} = '')`,
    ),
  ],
);

/** An address as it is kept in one column. */
export interface AddressRow {
  name: string;
  line1: string;
  line2: string;
  city: string;
  region: string;
  postalCode: string;
  country: string;
}

/** Addresses that users keep. */
export const addresses = user.table(
  "addresses",
  {
    id: idColumn("adr")("id").primaryKey(),
    userId: idColumn("usr")("user_id")
      .notNull()
      .references(() => profiles.id),
    address: jsonb("address").$type<AddressRow>().notNull(),
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

export const { outbox, inbox, deadLetters, idempotency, auditEvents, auditPending, auditSeals, auditHeads } =
  kernelTables(user);

import { sql } from "drizzle-orm";
import { check, index, integer, pgSchema, text } from "drizzle-orm/pg-core";
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
    /** In the clear until the row is sealed, then empty; so are the next two. */
    email: text("email").notNull().default(""),
    displayName: text("display_name").notNull().default(""),
    phone: text("phone").notNull().default(""),
    version: integer("version").notNull().default(1),
    createdAt: instant("created_at").notNull(),
    updatedAt: instant("updated_at").notNull(),
  },
  (t) => [
    check("profiles_version", sql`${t.version} >= 1`),
    index("profiles_clear").on(t.id).where(sql`${t.personal} is null`),
    check(
      "profiles_sealed",
      sql`${t.personal} is null or (${t.email} = '' and ${t.displayName} = '' and ${t.phone} = '')`,
    ),
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

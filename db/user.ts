import { sql } from "drizzle-orm";
import { check, integer, pgSchema, text } from "drizzle-orm/pg-core";
import { idColumn } from "./id";
import { instant, kernelTables } from "./kernel";

export const user = pgSchema("user");

/** What users tell about themselves; the account itself is the auth service's. */
export const profiles = user.table(
  "profiles",
  {
    id: idColumn("usr")("id").primaryKey(),
    /** Address of the account, as auth knew it when the profile was made. */
    email: text("email").notNull(),
    displayName: text("display_name").notNull(),
    /** E.164, or empty. */
    phone: text("phone").notNull().default(""),
    version: integer("version").notNull().default(1),
    createdAt: instant("created_at").notNull(),
    updatedAt: instant("updated_at").notNull(),
  },
  (t) => [
    check("profiles_version", sql`${t.version} >= 1`),
    check("profiles_phone", sql`${t.phone} ~ '^([+][1-9][0-9]{6,14})?$'`),
    check("profiles_display_name", sql`length(${t.displayName}) between 1 and 100`),
  ],
);

export const { dataKeys, outbox, inbox, deadLetters, idempotency, auditEvents, auditPending, auditSeals, auditHeads } =
  kernelTables(user);

import { sql } from "drizzle-orm";
import {
  customType,
  index,
  integer,
  jsonb,
  type PgSchema,
  primaryKey,
  text,
  timestamp,
  uuid,
} from "drizzle-orm/pg-core";

/** A column of bytes. */
export const bytea = customType<{ data: Uint8Array; driverData: Uint8Array }>({ dataType: () => "bytea" });

/** An instant, as a Date. */
export const instant = (name: string) => timestamp(name, { withTimezone: true, mode: "date", precision: 3 });

/**
 * The tables every service has: events to publish, messages consumed, messages nobody could handle, answers kept for a
 * repeated key.
 */
export function kernelTables(schema: PgSchema) {
  return {
    outbox: schema.table(
      "outbox",
      {
        id: uuid("id").primaryKey(),
        type: text("type").notNull(),
        /** Who gets it; an event has a row for each of its listeners, or one that is history from the start. */
        consumer: text("consumer"),
        subject: text("subject").notNull(),
        sequence: integer("sequence").notNull(),
        data: jsonb("data").notNull(),
        createdAt: instant("created_at").notNull(),
        attempts: integer("attempts").notNull().default(0),
        /** When it is due; null once it is published or dead. */
        dueAt: instant("due_at"),
        /** Before this instant nobody may see it. */
        notBefore: instant("not_before"),
        deadAt: instant("dead_at"),
        lastError: text("last_error"),
      },
      (t) => [index("outbox_due").on(t.consumer, t.dueAt).where(sql`${t.dueAt} is not null`)],
    ),
    inbox: schema.table(
      "inbox",
      {
        consumer: text("consumer").notNull(),
        messageId: uuid("message_id").notNull(),
        receivedAt: instant("received_at").notNull(),
      },
      (t) => [primaryKey({ columns: [t.consumer, t.messageId] }), index("inbox_received").on(t.receivedAt)],
    ),
    /** Kept until somebody redrives them, and a while after. */
    deadLetters: schema.table("dead_letters", {
      /** Id of the event; a digest of what came when that was no event. */
      id: text("id").primaryKey(),
      /** The service that could not handle it. */
      consumer: text("consumer").notNull(),
      event: jsonb("event").notNull(),
      error: text("error").notNull(),
      deadAt: instant("dead_at").notNull(),
      redrivenAt: instant("redriven_at"),
    }),
    idempotency: schema.table(
      "idempotency",
      {
        scope: text("scope").notNull(),
        rpc: text("rpc").notNull(),
        key: text("key").notNull(),
        fingerprint: bytea("fingerprint").notNull(),
        /** in_flight or done. */
        state: text("state").notNull(),
        /** Sealed answer, once done. */
        response: bytea("response"),
        expiresAt: instant("expires_at").notNull(),
      },
      (t) => [primaryKey({ columns: [t.scope, t.rpc, t.key] }), index("idempotency_expiry").on(t.expiresAt)],
    ),
  };
}

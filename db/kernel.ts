import { sql } from "drizzle-orm";
import {
  bigint,
  check,
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
 * The audit log: security events, the chain of hashes that seals them, its signed ends, and what the sealer has still
 * to do. The service may only read and append to the first three.
 */
function auditTables(schema: PgSchema) {
  return {
    auditEvents: schema.table(
      "audit_events",
      {
        id: uuid("id").primaryKey(),
        at: instant("at").notNull(),
        /** What was done or refused, by the name of its RPC or command. */
        action: text("action").notNull(),
        outcome: text("outcome").notNull(),
        /** Reason of the fault that refused it. */
        reason: text("reason"),
        actorKind: text("actor_kind").notNull(),
        /** Id of the user or key, name of the service; a guest has none. */
        actorId: text("actor_id"),
        /** Id of what it was done to. */
        subject: text("subject"),
        requestId: uuid("request_id"),
        /** Sealed, bound to the id of the event. */
        clientAddress: bytea("client_address"),
        /** Ids and numbers only. */
        metadata: jsonb("metadata").notNull(),
      },
      (t) => [
        check(
          "audit_events_outcome",
          sql`${t.outcome} = case when ${t.reason} is null then 'ok' else 'refused' end`,
        ),
        check("audit_events_actor", sql`${t.actorKind} in ('user', 'service', 'key', 'guest', 'command')`),
      ],
    ),
    /** Events that have no seal yet: an event commits late now and then, and must not be passed over. */
    auditPending: schema.table("audit_pending", { eventId: uuid("event_id").primaryKey() }),
    auditSeals: schema.table(
      "audit_seals",
      {
        sequence: bigint("sequence", { mode: "number" }).primaryKey(),
        eventId: uuid("event_id").notNull().unique(),
        /** Keyed hash over the hash before and the event. */
        hash: bytea("hash").notNull(),
      },
      (t) => [check("audit_seals_hash", sql`octet_length(${t.hash}) = 32`)],
    ),
    /** Ends that the chain had, each with a signature: what is cut off is noticed. */
    auditHeads: schema.table("audit_heads", {
      sequence: bigint("sequence", { mode: "number" }).primaryKey(),
      hash: bytea("hash").notNull(),
      mac: bytea("mac").notNull(),
    }),
  };
}

/**
 * Keys of people: what is personal in this schema is sealed with the key of the person it is about, and gone with it.
 * The key of the nil UUID is the service's own.
 */
const dataKeys = (schema: PgSchema) =>
  schema.table(
    "data_keys",
    {
      /** The user; of guests the order or whatever else stands for them. */
      subject: uuid("subject").primaryKey(),
      /** The key, sealed with a master key and bound to service and subject; null once it was destroyed. */
      wrapped: bytea("wrapped"),
      /** Which master key that is. */
      wrappedBy: text("wrapped_by"),
      createdAt: instant("created_at").notNull(),
      destroyedAt: instant("destroyed_at"),
    },
    (t) => [
      check(
        "data_keys_destroyed",
        sql`(${t.wrapped} is null) = (${t.destroyedAt} is not null) and (${t.wrapped} is null) = (${t.wrappedBy} is null)`,
      ),
    ],
  );

/**
 * The tables every service has: events to publish, messages consumed, messages nobody could handle, answers kept for a
 * repeated key, the audit log, keys of people.
 */
export function kernelTables(schema: PgSchema) {
  return {
    ...auditTables(schema),
    dataKeys: dataKeys(schema),
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

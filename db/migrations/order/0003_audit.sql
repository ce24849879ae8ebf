CREATE TABLE "order"."audit_events" (
	"id" uuid PRIMARY KEY NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"action" text NOT NULL,
	"outcome" text NOT NULL,
	"reason" text,
	"actor_kind" text NOT NULL,
	"actor_id" text,
	"subject" text,
	"request_id" uuid,
	"client_address" "bytea",
	"metadata" jsonb NOT NULL,
	CONSTRAINT "audit_events_outcome" CHECK ("order"."audit_events"."outcome" = case when "order"."audit_events"."reason" is null then 'ok' else 'refused' end),
	CONSTRAINT "audit_events_actor" CHECK ("order"."audit_events"."actor_kind" in ('user', 'service', 'key', 'guest', 'command'))
);
--> statement-breakpoint
CREATE TABLE "order"."audit_heads" (
	"sequence" bigint PRIMARY KEY NOT NULL,
	"hash" "bytea" NOT NULL,
	"mac" "bytea" NOT NULL
);
--> statement-breakpoint
CREATE TABLE "order"."audit_pending" (
	"event_id" uuid PRIMARY KEY NOT NULL
);
--> statement-breakpoint
CREATE TABLE "order"."audit_seals" (
	"sequence" bigint PRIMARY KEY NOT NULL,
	"event_id" uuid NOT NULL,
	"hash" "bytea" NOT NULL,
	CONSTRAINT "audit_seals_event_id_unique" UNIQUE("event_id"),
	CONSTRAINT "audit_seals_hash" CHECK (octet_length("order"."audit_seals"."hash") = 32)
);

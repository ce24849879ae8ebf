CREATE SCHEMA "checkout";
--> statement-breakpoint
CREATE TABLE "checkout"."checkouts" (
	"id" uuid PRIMARY KEY NOT NULL,
	"cart_id" uuid NOT NULL,
	"user_id" uuid,
	"state" text NOT NULL,
	"order_id" uuid NOT NULL,
	"payment_id" uuid NOT NULL,
	"pays_at_once" boolean NOT NULL,
	"total" bigint NOT NULL,
	"currency" text NOT NULL,
	"failure_reason" text DEFAULT '' NOT NULL,
	"owes" jsonb,
	"expires_at" timestamp (3) with time zone,
	"lease_until" timestamp (3) with time zone NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "checkout"."idempotency" (
	"scope" text NOT NULL,
	"rpc" text NOT NULL,
	"key" text NOT NULL,
	"fingerprint" "bytea" NOT NULL,
	"state" text NOT NULL,
	"response" "bytea",
	"expires_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "idempotency_scope_rpc_key_pk" PRIMARY KEY("scope","rpc","key")
);
--> statement-breakpoint
CREATE TABLE "checkout"."inbox" (
	"consumer" text NOT NULL,
	"message_id" uuid NOT NULL,
	"received_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "inbox_consumer_message_id_pk" PRIMARY KEY("consumer","message_id")
);
--> statement-breakpoint
CREATE TABLE "checkout"."outbox" (
	"id" uuid PRIMARY KEY NOT NULL,
	"type" text NOT NULL,
	"subject" text NOT NULL,
	"sequence" integer NOT NULL,
	"data" jsonb NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"due_at" timestamp (3) with time zone,
	"dead_at" timestamp (3) with time zone,
	"last_error" text
);
--> statement-breakpoint
CREATE INDEX "checkouts_unfinished" ON "checkout"."checkouts" USING btree ("lease_until") WHERE "checkout"."checkouts"."state" not in ('COMPLETED', 'FAILED');--> statement-breakpoint
CREATE INDEX "idempotency_expiry" ON "checkout"."idempotency" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "outbox_due" ON "checkout"."outbox" USING btree ("due_at") WHERE "checkout"."outbox"."due_at" is not null;
CREATE SCHEMA "payment";
--> statement-breakpoint
CREATE TABLE "payment"."fake_charges" (
	"key" text PRIMARY KEY NOT NULL,
	"state" text NOT NULL,
	"amount" bigint NOT NULL,
	"refunded" bigint NOT NULL,
	"currency" text NOT NULL,
	"decline_code" text DEFAULT '' NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "fake_charges_refunded" CHECK ("payment"."fake_charges"."refunded" between 0 and "payment"."fake_charges"."amount")
);
--> statement-breakpoint
CREATE TABLE "payment"."idempotency" (
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
CREATE TABLE "payment"."inbox" (
	"consumer" text NOT NULL,
	"message_id" uuid NOT NULL,
	"received_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "inbox_consumer_message_id_pk" PRIMARY KEY("consumer","message_id")
);
--> statement-breakpoint
CREATE TABLE "payment"."outbox" (
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
CREATE TABLE "payment"."payments" (
	"id" uuid PRIMARY KEY NOT NULL,
	"order_id" uuid NOT NULL,
	"user_id" uuid,
	"state" text NOT NULL,
	"provider" text NOT NULL,
	"amount" bigint NOT NULL,
	"currency" text NOT NULL,
	"capture" boolean NOT NULL,
	"decline_code" text DEFAULT '' NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "payments_amount" CHECK ("payment"."payments"."amount" >= 0)
);
--> statement-breakpoint
CREATE INDEX "idempotency_expiry" ON "payment"."idempotency" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "outbox_due" ON "payment"."outbox" USING btree ("due_at") WHERE "payment"."outbox"."due_at" is not null;--> statement-breakpoint
CREATE INDEX "payments_by_order" ON "payment"."payments" USING btree ("order_id","id");--> statement-breakpoint
CREATE UNIQUE INDEX "payments_one_live" ON "payment"."payments" USING btree ("order_id") WHERE "payment"."payments"."state" in ('PROCESSING', 'AUTHORIZED', 'CAPTURED');
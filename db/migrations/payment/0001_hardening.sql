CREATE TABLE "payment"."dead_letters" (
	"id" text PRIMARY KEY NOT NULL,
	"consumer" text NOT NULL,
	"event" jsonb NOT NULL,
	"error" text NOT NULL,
	"dead_at" timestamp (3) with time zone NOT NULL,
	"redriven_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "payment"."fake_refunds" (
	"key" text PRIMARY KEY NOT NULL,
	"charge_key" text NOT NULL,
	"amount" bigint NOT NULL,
	"state" text NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "payment"."refunds" (
	"id" uuid PRIMARY KEY NOT NULL,
	"payment_id" uuid NOT NULL,
	"state" text NOT NULL,
	"amount" bigint NOT NULL,
	"currency" text NOT NULL,
	"reason" text NOT NULL,
	"owes" jsonb,
	"due_at" timestamp (3) with time zone,
	"attempts" integer DEFAULT 0 NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "refunds_amount" CHECK ("payment"."refunds"."amount" > 0)
);
--> statement-breakpoint
DROP INDEX "payment"."outbox_due";--> statement-breakpoint
DROP INDEX "payment"."payments_one_live";--> statement-breakpoint
ALTER TABLE "payment"."fake_charges" ADD COLUMN "token" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "payment"."outbox" ADD COLUMN "consumer" text;--> statement-breakpoint
ALTER TABLE "payment"."outbox" ADD COLUMN "not_before" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "payment"."payments" ADD COLUMN "provider_ref" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "payment"."payments" ADD COLUMN "captured" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "payment"."payments" ADD COLUMN "refunded" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "payment"."payments" ADD COLUMN "returned" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "payment"."payments" ADD COLUMN "undo" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "payment"."payments" ADD COLUMN "closes_order" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "payment"."payments" ADD COLUMN "due_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "payment"."payments" ADD COLUMN "attempts" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "payment"."refunds" ADD CONSTRAINT "refunds_payment_id_payments_id_fk" FOREIGN KEY ("payment_id") REFERENCES "payment"."payments"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "refunds_by_payment" ON "payment"."refunds" USING btree ("payment_id","id");--> statement-breakpoint
CREATE INDEX "refunds_due" ON "payment"."refunds" USING btree ("due_at") WHERE "payment"."refunds"."due_at" is not null;--> statement-breakpoint
CREATE INDEX "inbox_received" ON "payment"."inbox" USING btree ("received_at");--> statement-breakpoint
CREATE INDEX "payments_due" ON "payment"."payments" USING btree ("due_at") WHERE "payment"."payments"."due_at" is not null;--> statement-breakpoint
CREATE INDEX "payments_by_ref" ON "payment"."payments" USING btree ("provider_ref") WHERE "payment"."payments"."provider_ref" <> '';--> statement-breakpoint
CREATE INDEX "outbox_due" ON "payment"."outbox" USING btree ("consumer","due_at") WHERE "payment"."outbox"."due_at" is not null;--> statement-breakpoint
CREATE UNIQUE INDEX "payments_one_live" ON "payment"."payments" USING btree ("order_id") WHERE "payment"."payments"."state" in ('PROCESSING', 'AUTHORIZED', 'CAPTURED') or "payment"."payments"."closes_order";--> statement-breakpoint
UPDATE "payment"."payments" SET "captured" = "amount" WHERE "state" IN ('CAPTURED', 'REFUNDED');--> statement-breakpoint
UPDATE "payment"."payments" SET "refunded" = "amount", "returned" = "amount" WHERE "state" = 'REFUNDED';--> statement-breakpoint
UPDATE "payment"."payments" SET "due_at" = "updated_at" WHERE "state" IN ('PROCESSING', 'AUTHORIZED');--> statement-breakpoint
ALTER TABLE "payment"."payments" ADD CONSTRAINT "payments_captured" CHECK ("payment"."payments"."captured" >= 0 and ("payment"."payments"."state" not in ('CAPTURED', 'REFUNDED') or "payment"."payments"."captured" = "payment"."payments"."amount"));--> statement-breakpoint
ALTER TABLE "payment"."payments" ADD CONSTRAINT "payments_refunded" CHECK ("payment"."payments"."refunded" between 0 and "payment"."payments"."captured");--> statement-breakpoint
ALTER TABLE "payment"."payments" ADD CONSTRAINT "payments_returned" CHECK ("payment"."payments"."returned" between 0 and "payment"."payments"."refunded");
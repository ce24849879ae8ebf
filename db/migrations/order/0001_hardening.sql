CREATE TABLE "order"."dead_letters" (
	"id" text PRIMARY KEY NOT NULL,
	"consumer" text NOT NULL,
	"event" jsonb NOT NULL,
	"error" text NOT NULL,
	"dead_at" timestamp (3) with time zone NOT NULL,
	"redriven_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "order"."order_ids" (
	"id" uuid PRIMARY KEY NOT NULL,
	"abandoned" boolean NOT NULL
);
--> statement-breakpoint
DROP INDEX "order"."outbox_due";--> statement-breakpoint
ALTER TABLE "order"."orders" ADD COLUMN "expires_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "order"."orders" ADD COLUMN "payment_sequence" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "order"."orders" ADD COLUMN "refunded_total" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "order"."orders" ADD COLUMN "undo_due_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "order"."outbox" ADD COLUMN "consumer" text;--> statement-breakpoint
ALTER TABLE "order"."outbox" ADD COLUMN "not_before" timestamp (3) with time zone;--> statement-breakpoint
CREATE INDEX "inbox_received" ON "order"."inbox" USING btree ("received_at");--> statement-breakpoint
CREATE INDEX "orders_expiring" ON "order"."orders" USING btree ("expires_at") WHERE "order"."orders"."expires_at" is not null;--> statement-breakpoint
CREATE INDEX "orders_to_undo" ON "order"."orders" USING btree ("undo_due_at") WHERE "order"."orders"."undo_due_at" is not null;--> statement-breakpoint
CREATE INDEX "outbox_due" ON "order"."outbox" USING btree ("consumer","due_at") WHERE "order"."outbox"."due_at" is not null;--> statement-breakpoint
ALTER TABLE "order"."orders" ADD CONSTRAINT "orders_expiry" CHECK ("order"."orders"."expires_at" is null or "order"."orders"."state" = 'PENDING_PAYMENT');--> statement-breakpoint
ALTER TABLE "order"."orders" ADD CONSTRAINT "orders_undo" CHECK ("order"."orders"."undo_due_at" is null or "order"."orders"."state" = 'CANCELLED');--> statement-breakpoint
INSERT INTO "order"."order_ids" ("id", "abandoned") SELECT "id", false FROM "order"."orders";--> statement-breakpoint
UPDATE "order"."orders" SET "expires_at" = "created_at" + interval '30 minutes' WHERE "state" = 'PENDING_PAYMENT';
CREATE TABLE "product"."dead_letters" (
	"id" text PRIMARY KEY NOT NULL,
	"consumer" text NOT NULL,
	"event" jsonb NOT NULL,
	"error" text NOT NULL,
	"dead_at" timestamp (3) with time zone NOT NULL,
	"redriven_at" timestamp (3) with time zone
);
--> statement-breakpoint
DROP INDEX "product"."outbox_due";--> statement-breakpoint
ALTER TABLE "product"."outbox" ADD COLUMN "consumer" text;--> statement-breakpoint
ALTER TABLE "product"."outbox" ADD COLUMN "not_before" timestamp (3) with time zone;--> statement-breakpoint
CREATE INDEX "inbox_received" ON "product"."inbox" USING btree ("received_at");--> statement-breakpoint
CREATE INDEX "outbox_due" ON "product"."outbox" USING btree ("consumer","due_at") WHERE "product"."outbox"."due_at" is not null;
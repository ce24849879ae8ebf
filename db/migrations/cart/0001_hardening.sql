CREATE TABLE "cart"."dead_letters" (
	"id" text PRIMARY KEY NOT NULL,
	"consumer" text NOT NULL,
	"event" jsonb NOT NULL,
	"error" text NOT NULL,
	"dead_at" timestamp (3) with time zone NOT NULL,
	"redriven_at" timestamp (3) with time zone
);
--> statement-breakpoint
DROP INDEX "cart"."outbox_due";--> statement-breakpoint
ALTER TABLE "cart"."outbox" ADD COLUMN "consumer" text;--> statement-breakpoint
ALTER TABLE "cart"."outbox" ADD COLUMN "not_before" timestamp (3) with time zone;--> statement-breakpoint
CREATE INDEX "inbox_received" ON "cart"."inbox" USING btree ("received_at");--> statement-breakpoint
CREATE INDEX "outbox_due" ON "cart"."outbox" USING btree ("consumer","due_at") WHERE "cart"."outbox"."due_at" is not null;
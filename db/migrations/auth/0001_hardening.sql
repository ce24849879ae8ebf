CREATE TABLE "auth"."dead_letters" (
	"id" text PRIMARY KEY NOT NULL,
	"consumer" text NOT NULL,
	"event" jsonb NOT NULL,
	"error" text NOT NULL,
	"dead_at" timestamp (3) with time zone NOT NULL,
	"redriven_at" timestamp (3) with time zone
);
--> statement-breakpoint
DROP INDEX "auth"."outbox_due";--> statement-breakpoint
ALTER TABLE "auth"."outbox" ADD COLUMN "consumer" text;--> statement-breakpoint
ALTER TABLE "auth"."outbox" ADD COLUMN "not_before" timestamp (3) with time zone;--> statement-breakpoint
CREATE INDEX "inbox_received" ON "auth"."inbox" USING btree ("received_at");--> statement-breakpoint
CREATE INDEX "outbox_due" ON "auth"."outbox" USING btree ("consumer","due_at") WHERE "auth"."outbox"."due_at" is not null;--> statement-breakpoint
UPDATE "auth"."outbox" SET "consumer" = 'user' WHERE "due_at" IS NOT NULL;
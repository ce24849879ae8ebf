CREATE TABLE "user"."dead_letters" (
	"id" text PRIMARY KEY NOT NULL,
	"consumer" text NOT NULL,
	"event" jsonb NOT NULL,
	"error" text NOT NULL,
	"dead_at" timestamp (3) with time zone NOT NULL,
	"redriven_at" timestamp (3) with time zone
);
--> statement-breakpoint
DROP INDEX "user"."outbox_due";--> statement-breakpoint
ALTER TABLE "user"."outbox" ADD COLUMN "consumer" text;--> statement-breakpoint
ALTER TABLE "user"."outbox" ADD COLUMN "not_before" timestamp (3) with time zone;--> statement-breakpoint
CREATE INDEX "inbox_received" ON "user"."inbox" USING btree ("received_at");--> statement-breakpoint
CREATE INDEX "outbox_due" ON "user"."outbox" USING btree ("consumer","due_at") WHERE "user"."outbox"."due_at" is not null;
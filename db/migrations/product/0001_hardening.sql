CREATE TABLE "product"."dead_letters" (
	"id" text PRIMARY KEY NOT NULL,
	"consumer" text NOT NULL,
	"event" jsonb NOT NULL,
	"error" text NOT NULL,
	"dead_at" timestamp (3) with time zone NOT NULL,
	"redriven_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "product"."hold_owners" (
	"user_id" uuid PRIMARY KEY NOT NULL,
	"version" integer NOT NULL
);
--> statement-breakpoint
ALTER TABLE "product"."holds" DROP CONSTRAINT "holds_state";--> statement-breakpoint
ALTER TABLE "product"."stock_movements" DROP CONSTRAINT "stock_movements_kind";--> statement-breakpoint
DROP INDEX "product"."holds_due";--> statement-breakpoint
DROP INDEX "product"."outbox_due";--> statement-breakpoint
ALTER TABLE "product"."holds" ADD COLUMN "user_id" uuid;--> statement-breakpoint
ALTER TABLE "product"."holds" ADD COLUMN "sequence" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "product"."outbox" ADD COLUMN "consumer" text;--> statement-breakpoint
ALTER TABLE "product"."outbox" ADD COLUMN "not_before" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "product"."stock" ADD COLUMN "lows" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE INDEX "holds_active" ON "product"."holds" USING btree ("expires_at") WHERE "product"."holds"."state" = 'active';--> statement-breakpoint
CREATE INDEX "holds_by_user" ON "product"."holds" USING btree ("user_id") WHERE "product"."holds"."state" = 'active' and "product"."holds"."user_id" is not null;--> statement-breakpoint
CREATE INDEX "inbox_received" ON "product"."inbox" USING btree ("received_at");--> statement-breakpoint
CREATE INDEX "outbox_due" ON "product"."outbox" USING btree ("consumer","due_at") WHERE "product"."outbox"."due_at" is not null;--> statement-breakpoint
ALTER TABLE "product"."holds" ADD CONSTRAINT "holds_state" CHECK ("product"."holds"."state" in ('active', 'claimed', 'released', 'expired', 'returned'));--> statement-breakpoint
ALTER TABLE "product"."stock_movements" ADD CONSTRAINT "stock_movements_kind" CHECK ("product"."stock_movements"."kind" in ('import', 'receive', 'adjust', 'sale', 'restock'));
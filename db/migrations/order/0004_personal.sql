CREATE TABLE "order"."data_keys" (
	"subject" uuid PRIMARY KEY NOT NULL,
	"wrapped" "bytea",
	"wrapped_by" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	"destroyed_at" timestamp (3) with time zone,
	CONSTRAINT "data_keys_destroyed" CHECK (("order"."data_keys"."wrapped" is null) = ("order"."data_keys"."destroyed_at" is not null) and ("order"."data_keys"."wrapped" is null) = ("order"."data_keys"."wrapped_by" is null))
);
--> statement-breakpoint
ALTER TABLE "order"."orders" ALTER COLUMN "email" SET DEFAULT '';--> statement-breakpoint
ALTER TABLE "order"."orders" ALTER COLUMN "shipping_address" SET DEFAULT '{}'::jsonb;--> statement-breakpoint
ALTER TABLE "order"."orders" ADD COLUMN "personal" "bytea";--> statement-breakpoint
CREATE INDEX "orders_clear" ON "order"."orders" USING btree ("id") WHERE "order"."orders"."personal" is null;--> statement-breakpoint
ALTER TABLE "order"."orders" ADD CONSTRAINT "orders_sealed" CHECK ("order"."orders"."personal" is null or ("order"."orders"."email" = '' and "order"."orders"."shipping_address" = '{}' and "order"."orders"."cancel_reason" ~ '^[A-Z_]*$'));
--> statement-breakpoint
-- a customer's words about a cancellation are kept with the order only, where they are sealed
UPDATE "order"."order_events" SET "detail" = 'CUSTOMER' WHERE "kind" = 'cancelled' AND "detail" !~ '^[A-Z_]*$';
--> statement-breakpoint
UPDATE "order"."outbox" SET "data" = jsonb_set("data", '{reason}', '"CUSTOMER"') WHERE "type" = 'mall.order.v1.OrderCancelled' AND "data"->>'reason' !~ '^[A-Z_]*$';

DROP INDEX "order"."order_events_by_order";--> statement-breakpoint
ALTER TABLE "order"."order_events" ADD COLUMN "sequence" integer;--> statement-breakpoint
UPDATE "order"."order_events" e SET "sequence" = n."sequence" FROM (SELECT "id", row_number() OVER (PARTITION BY "order_id" ORDER BY "at", "id") AS "sequence" FROM "order"."order_events") n WHERE n."id" = e."id";--> statement-breakpoint
ALTER TABLE "order"."order_events" ALTER COLUMN "sequence" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "order"."orders" ADD COLUMN "early_refunds" jsonb;--> statement-breakpoint
ALTER TABLE "order"."orders" ADD COLUMN "undo_attempts" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX "order_events_by_order" ON "order"."order_events" USING btree ("order_id","sequence");--> statement-breakpoint
ALTER TABLE "order"."orders" ADD CONSTRAINT "orders_cancelled" CHECK (("order"."orders"."state" = 'CANCELLED') = ("order"."orders"."cancelled_at" is not null));--> statement-breakpoint
ALTER TABLE "order"."orders" ADD CONSTRAINT "orders_state_paid" CHECK (case "order"."orders"."state" when 'CANCELLED' then true when 'PENDING_PAYMENT' then "order"."orders"."paid_at" is null else "order"."orders"."paid_at" is not null end);--> statement-breakpoint
ALTER TABLE "order"."orders" ADD CONSTRAINT "orders_refunded" CHECK ("order"."orders"."refunded_total" between 0 and "order"."orders"."total");
CREATE SCHEMA "order";
--> statement-breakpoint
CREATE SEQUENCE "order"."order_numbers" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1001 CACHE 1;--> statement-breakpoint
CREATE TABLE "order"."idempotency" (
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
CREATE TABLE "order"."inbox" (
	"consumer" text NOT NULL,
	"message_id" uuid NOT NULL,
	"received_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "inbox_consumer_message_id_pk" PRIMARY KEY("consumer","message_id")
);
--> statement-breakpoint
CREATE TABLE "order"."order_events" (
	"id" uuid PRIMARY KEY NOT NULL,
	"order_id" uuid NOT NULL,
	"kind" text NOT NULL,
	"detail" text DEFAULT '' NOT NULL,
	"at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "order"."order_lines" (
	"order_id" uuid NOT NULL,
	"position" integer NOT NULL,
	"variant_id" uuid NOT NULL,
	"product_id" uuid NOT NULL,
	"sku" text NOT NULL,
	"title" text NOT NULL,
	"quantity" integer NOT NULL,
	"unit_price" bigint NOT NULL,
	"total" bigint NOT NULL,
	CONSTRAINT "order_lines_order_id_position_pk" PRIMARY KEY("order_id","position"),
	CONSTRAINT "order_lines_quantity" CHECK ("order"."order_lines"."quantity" > 0 and "order"."order_lines"."total" = "order"."order_lines"."unit_price" * "order"."order_lines"."quantity")
);
--> statement-breakpoint
CREATE TABLE "order"."orders" (
	"id" uuid PRIMARY KEY NOT NULL,
	"number" text NOT NULL,
	"checkout_id" uuid NOT NULL,
	"user_id" uuid,
	"state" text NOT NULL,
	"currency" text NOT NULL,
	"subtotal" bigint NOT NULL,
	"discount_total" bigint NOT NULL,
	"shipping_total" bigint NOT NULL,
	"tax_total" bigint NOT NULL,
	"total" bigint NOT NULL,
	"email" text NOT NULL,
	"shipping_address" jsonb NOT NULL,
	"shipping_option" text NOT NULL,
	"payment_id" uuid,
	"cancel_reason" text DEFAULT '' NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"paid_at" timestamp (3) with time zone,
	"cancelled_at" timestamp (3) with time zone,
	CONSTRAINT "orders_number_unique" UNIQUE("number"),
	CONSTRAINT "orders_checkout_id_unique" UNIQUE("checkout_id"),
	CONSTRAINT "orders_total" CHECK ("order"."orders"."total" = "order"."orders"."subtotal" - "order"."orders"."discount_total" + "order"."orders"."shipping_total" + "order"."orders"."tax_total"),
	CONSTRAINT "orders_amounts" CHECK ("order"."orders"."subtotal" >= 0 and "order"."orders"."total" >= 0),
	CONSTRAINT "orders_paid" CHECK (("order"."orders"."payment_id" is null) = ("order"."orders"."paid_at" is null))
);
--> statement-breakpoint
CREATE TABLE "order"."outbox" (
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
CREATE INDEX "idempotency_expiry" ON "order"."idempotency" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "order_events_by_order" ON "order"."order_events" USING btree ("order_id","id");--> statement-breakpoint
CREATE INDEX "orders_by_user" ON "order"."orders" USING btree ("user_id","id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "outbox_due" ON "order"."outbox" USING btree ("due_at") WHERE "order"."outbox"."due_at" is not null;
CREATE SCHEMA "cart";
--> statement-breakpoint
CREATE TABLE "cart"."cart_items" (
	"cart_id" uuid NOT NULL,
	"variant_id" uuid NOT NULL,
	"quantity" integer NOT NULL,
	"position" integer NOT NULL,
	"added_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "cart_items_cart_id_variant_id_pk" PRIMARY KEY("cart_id","variant_id"),
	CONSTRAINT "cart_items_quantity" CHECK ("cart"."cart_items"."quantity" between 1 and 999)
);
--> statement-breakpoint
CREATE TABLE "cart"."carts" (
	"id" uuid PRIMARY KEY NOT NULL,
	"user_id" uuid,
	"state" text NOT NULL,
	"checkout_id" uuid,
	"line_count" integer DEFAULT 0 NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "carts_state" CHECK ("cart"."carts"."state" in ('OPEN', 'LOCKED', 'CONVERTED')),
	CONSTRAINT "carts_checkout" CHECK (("cart"."carts"."state" = 'OPEN') = ("cart"."carts"."checkout_id" is null)),
	CONSTRAINT "carts_line_count" CHECK ("cart"."carts"."line_count" between 0 and 100),
	CONSTRAINT "carts_bought_something" CHECK ("cart"."carts"."state" = 'OPEN' or "cart"."carts"."line_count" > 0)
);
--> statement-breakpoint
CREATE TABLE "cart"."idempotency" (
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
CREATE TABLE "cart"."inbox" (
	"consumer" text NOT NULL,
	"message_id" uuid NOT NULL,
	"received_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "inbox_consumer_message_id_pk" PRIMARY KEY("consumer","message_id")
);
--> statement-breakpoint
CREATE TABLE "cart"."outbox" (
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
CREATE UNIQUE INDEX "carts_active_by_user" ON "cart"."carts" USING btree ("user_id") WHERE "cart"."carts"."state" in ('OPEN', 'LOCKED');--> statement-breakpoint
CREATE INDEX "idempotency_expiry" ON "cart"."idempotency" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "outbox_due" ON "cart"."outbox" USING btree ("due_at") WHERE "cart"."outbox"."due_at" is not null;
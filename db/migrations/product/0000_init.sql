CREATE SCHEMA "product";
--> statement-breakpoint
CREATE TABLE "product"."categories" (
	"id" uuid PRIMARY KEY NOT NULL,
	"slug" text NOT NULL,
	"title" text NOT NULL,
	CONSTRAINT "categories_slug_unique" UNIQUE("slug")
);
--> statement-breakpoint
CREATE TABLE "product"."hold_lines" (
	"hold_id" uuid NOT NULL,
	"variant_id" uuid NOT NULL,
	"quantity" integer NOT NULL,
	CONSTRAINT "hold_lines_hold_id_variant_id_pk" PRIMARY KEY("hold_id","variant_id"),
	CONSTRAINT "hold_lines_quantity" CHECK ("product"."hold_lines"."quantity" > 0)
);
--> statement-breakpoint
CREATE TABLE "product"."holds" (
	"id" uuid PRIMARY KEY NOT NULL,
	"checkout_id" uuid NOT NULL,
	"state" text NOT NULL,
	"expires_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone NOT NULL,
	"ended_at" timestamp (3) with time zone,
	CONSTRAINT "holds_checkout_id_unique" UNIQUE("checkout_id"),
	CONSTRAINT "holds_state" CHECK ("product"."holds"."state" in ('active', 'claimed', 'released', 'expired')),
	CONSTRAINT "holds_ended" CHECK (("product"."holds"."state" = 'active') = ("product"."holds"."ended_at" is null))
);
--> statement-breakpoint
CREATE TABLE "product"."idempotency" (
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
CREATE TABLE "product"."inbox" (
	"consumer" text NOT NULL,
	"message_id" uuid NOT NULL,
	"received_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "inbox_consumer_message_id_pk" PRIMARY KEY("consumer","message_id")
);
--> statement-breakpoint
CREATE TABLE "product"."outbox" (
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
CREATE TABLE "product"."product_categories" (
	"product_id" uuid NOT NULL,
	"category_id" uuid NOT NULL,
	"position" integer NOT NULL,
	CONSTRAINT "product_categories_product_id_category_id_pk" PRIMARY KEY("product_id","category_id")
);
--> statement-breakpoint
CREATE TABLE "product"."products" (
	"id" uuid PRIMARY KEY NOT NULL,
	"handle" text NOT NULL,
	"title" text NOT NULL,
	"description" text NOT NULL,
	"vendor" text NOT NULL,
	"status" text NOT NULL,
	"media" jsonb NOT NULL,
	"price_min" bigint NOT NULL,
	"title_key" text GENERATED ALWAYS AS (lower(title)) STORED,
	"search" text GENERATED ALWAYS AS (lower(title || ' ' || vendor || ' ' || description)) STORED,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "products_handle_unique" UNIQUE("handle"),
	CONSTRAINT "products_status" CHECK ("product"."products"."status" in ('draft', 'published'))
);
--> statement-breakpoint
CREATE TABLE "product"."stock" (
	"variant_id" uuid PRIMARY KEY NOT NULL,
	"tracked" boolean NOT NULL,
	"on_hand" integer NOT NULL,
	"reserved" integer DEFAULT 0 NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	CONSTRAINT "stock_never_negative" CHECK ("product"."stock"."reserved" >= 0 and "product"."stock"."on_hand" >= "product"."stock"."reserved")
);
--> statement-breakpoint
CREATE TABLE "product"."stock_movements" (
	"id" uuid PRIMARY KEY NOT NULL,
	"variant_id" uuid NOT NULL,
	"kind" text NOT NULL,
	"delta" integer NOT NULL,
	"reference" text DEFAULT '' NOT NULL,
	"note" text DEFAULT '' NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "stock_movements_kind" CHECK ("product"."stock_movements"."kind" in ('import', 'receive', 'adjust', 'sale')),
	CONSTRAINT "stock_movements_delta" CHECK ("product"."stock_movements"."delta" <> 0)
);
--> statement-breakpoint
CREATE TABLE "product"."variants" (
	"id" uuid PRIMARY KEY NOT NULL,
	"product_id" uuid NOT NULL,
	"sku" text NOT NULL,
	"title" text NOT NULL,
	"position" integer NOT NULL,
	"price" bigint NOT NULL,
	"compare_at_price" bigint,
	"currency" text NOT NULL,
	"options" jsonb NOT NULL,
	"sold" boolean NOT NULL,
	CONSTRAINT "variants_sku_unique" UNIQUE("sku"),
	CONSTRAINT "variants_price" CHECK ("product"."variants"."price" >= 0)
);
--> statement-breakpoint
CREATE INDEX "holds_due" ON "product"."holds" USING btree ("expires_at") WHERE "product"."holds"."state" = 'active' and "product"."holds"."expires_at" is not null;--> statement-breakpoint
CREATE INDEX "idempotency_expiry" ON "product"."idempotency" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "outbox_due" ON "product"."outbox" USING btree ("due_at") WHERE "product"."outbox"."due_at" is not null;--> statement-breakpoint
CREATE INDEX "product_categories_by_category" ON "product"."product_categories" USING btree ("category_id");--> statement-breakpoint
CREATE INDEX "products_newest" ON "product"."products" USING btree ("id" DESC NULLS LAST) WHERE "product"."products"."status" = 'published';--> statement-breakpoint
CREATE INDEX "products_by_price" ON "product"."products" USING btree ("price_min","id") WHERE "product"."products"."status" = 'published';--> statement-breakpoint
CREATE INDEX "products_by_title" ON "product"."products" USING btree ("title_key","id") WHERE "product"."products"."status" = 'published';--> statement-breakpoint
CREATE INDEX "stock_movements_by_variant" ON "product"."stock_movements" USING btree ("variant_id","id");--> statement-breakpoint
CREATE INDEX "variants_by_product" ON "product"."variants" USING btree ("product_id","position");
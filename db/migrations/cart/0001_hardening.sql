CREATE TABLE "cart"."coupons" (
	"code" text PRIMARY KEY NOT NULL,
	"amount" bigint NOT NULL,
	"currency" text NOT NULL,
	"redemption_limit" integer NOT NULL,
	"redeemed" integer DEFAULT 0 NOT NULL,
	"expires_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "coupons_code" CHECK ("cart"."coupons"."code" = upper("cart"."coupons"."code")),
	CONSTRAINT "coupons_amount" CHECK ("cart"."coupons"."amount" > 0),
	CONSTRAINT "coupons_redeemed" CHECK ("cart"."coupons"."redeemed" between 0 and "cart"."coupons"."redemption_limit")
);
--> statement-breakpoint
CREATE TABLE "cart"."dead_letters" (
	"id" text PRIMARY KEY NOT NULL,
	"consumer" text NOT NULL,
	"event" jsonb NOT NULL,
	"error" text NOT NULL,
	"dead_at" timestamp (3) with time zone NOT NULL,
	"redriven_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "cart"."lock_fences" (
	"cart_id" uuid NOT NULL,
	"checkout_id" uuid NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "lock_fences_cart_id_checkout_id_pk" PRIMARY KEY("cart_id","checkout_id")
);
--> statement-breakpoint
CREATE TABLE "cart"."redemptions" (
	"checkout_id" uuid PRIMARY KEY NOT NULL,
	"code" text,
	"state" text NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "redemptions_state" CHECK ("cart"."redemptions"."state" in ('redeemed', 'released')),
	CONSTRAINT "redemptions_code" CHECK ("cart"."redemptions"."state" = 'released' or "cart"."redemptions"."code" is not null)
);
--> statement-breakpoint
ALTER TABLE "cart"."carts" DROP CONSTRAINT "carts_state";--> statement-breakpoint
ALTER TABLE "cart"."carts" DROP CONSTRAINT "carts_checkout";--> statement-breakpoint
ALTER TABLE "cart"."carts" DROP CONSTRAINT "carts_bought_something";--> statement-breakpoint
DROP INDEX "cart"."outbox_due";--> statement-breakpoint
ALTER TABLE "cart"."carts" ADD COLUMN "coupon_code" text;--> statement-breakpoint
ALTER TABLE "cart"."carts" ADD COLUMN "claimed_into" uuid;--> statement-breakpoint
ALTER TABLE "cart"."carts" ADD COLUMN "unlocks" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "cart"."outbox" ADD COLUMN "consumer" text;--> statement-breakpoint
ALTER TABLE "cart"."outbox" ADD COLUMN "not_before" timestamp (3) with time zone;--> statement-breakpoint
CREATE INDEX "inbox_received" ON "cart"."inbox" USING btree ("received_at");--> statement-breakpoint
CREATE INDEX "outbox_due" ON "cart"."outbox" USING btree ("consumer","due_at") WHERE "cart"."outbox"."due_at" is not null;--> statement-breakpoint
ALTER TABLE "cart"."carts" ADD CONSTRAINT "carts_claim" CHECK (("cart"."carts"."state" = 'CLAIMED') = ("cart"."carts"."claimed_into" is not null));--> statement-breakpoint
ALTER TABLE "cart"."carts" ADD CONSTRAINT "carts_claimed_of_guest" CHECK ("cart"."carts"."state" <> 'CLAIMED' or "cart"."carts"."user_id" is null);--> statement-breakpoint
ALTER TABLE "cart"."carts" ADD CONSTRAINT "carts_state" CHECK ("cart"."carts"."state" in ('OPEN', 'LOCKED', 'CONVERTED', 'CLAIMED'));--> statement-breakpoint
ALTER TABLE "cart"."carts" ADD CONSTRAINT "carts_checkout" CHECK (("cart"."carts"."state" in ('OPEN', 'CLAIMED')) = ("cart"."carts"."checkout_id" is null));--> statement-breakpoint
ALTER TABLE "cart"."carts" ADD CONSTRAINT "carts_bought_something" CHECK ("cart"."carts"."state" in ('OPEN', 'CLAIMED') or "cart"."carts"."line_count" > 0);
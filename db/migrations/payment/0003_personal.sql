CREATE TABLE "payment"."data_keys" (
	"subject" uuid PRIMARY KEY NOT NULL,
	"wrapped" "bytea",
	"wrapped_by" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	"destroyed_at" timestamp (3) with time zone,
	CONSTRAINT "data_keys_destroyed" CHECK (("payment"."data_keys"."wrapped" is null) = ("payment"."data_keys"."destroyed_at" is not null) and ("payment"."data_keys"."wrapped" is null) = ("payment"."data_keys"."wrapped_by" is null))
);
--> statement-breakpoint
ALTER TABLE "payment"."refunds" ALTER COLUMN "reason" SET DEFAULT '';--> statement-breakpoint
ALTER TABLE "payment"."refunds" ADD COLUMN "personal" "bytea";--> statement-breakpoint
CREATE INDEX "refunds_clear" ON "payment"."refunds" USING btree ("id") WHERE "payment"."refunds"."personal" is null;--> statement-breakpoint
ALTER TABLE "payment"."refunds" ADD CONSTRAINT "refunds_sealed" CHECK ("payment"."refunds"."personal" is null or "payment"."refunds"."reason" = '');
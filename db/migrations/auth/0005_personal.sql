CREATE TABLE "auth"."data_keys" (
	"subject" uuid PRIMARY KEY NOT NULL,
	"wrapped" "bytea",
	"wrapped_by" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	"destroyed_at" timestamp (3) with time zone,
	CONSTRAINT "data_keys_destroyed" CHECK (("auth"."data_keys"."wrapped" is null) = ("auth"."data_keys"."destroyed_at" is not null) and ("auth"."data_keys"."wrapped" is null) = ("auth"."data_keys"."wrapped_by" is null))
);
--> statement-breakpoint
ALTER TABLE "auth"."accounts" ALTER COLUMN "email" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "auth"."accounts" ALTER COLUMN "display_name" SET DEFAULT '';--> statement-breakpoint
ALTER TABLE "auth"."accounts" ADD COLUMN "personal" "bytea";--> statement-breakpoint
ALTER TABLE "auth"."accounts" ADD COLUMN "email_lookup" "bytea";--> statement-breakpoint
CREATE INDEX "accounts_clear" ON "auth"."accounts" USING btree ("id") WHERE "auth"."accounts"."personal" is null;--> statement-breakpoint
ALTER TABLE "auth"."accounts" ADD CONSTRAINT "accounts_email_lookup_unique" UNIQUE("email_lookup");--> statement-breakpoint
ALTER TABLE "auth"."accounts" ADD CONSTRAINT "accounts_sealed" CHECK (case when "auth"."accounts"."personal" is null then "auth"."accounts"."email" is not null and "auth"."accounts"."email_lookup" is null else "auth"."accounts"."email" is null and "auth"."accounts"."display_name" = '' end);
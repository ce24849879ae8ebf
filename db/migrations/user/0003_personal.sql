CREATE TABLE "user"."data_keys" (
	"subject" uuid PRIMARY KEY NOT NULL,
	"wrapped" "bytea",
	"wrapped_by" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	"destroyed_at" timestamp (3) with time zone,
	CONSTRAINT "data_keys_destroyed" CHECK (("user"."data_keys"."wrapped" is null) = ("user"."data_keys"."destroyed_at" is not null) and ("user"."data_keys"."wrapped" is null) = ("user"."data_keys"."wrapped_by" is null))
);
--> statement-breakpoint
ALTER TABLE "user"."profiles" DROP CONSTRAINT "profiles_phone";--> statement-breakpoint
ALTER TABLE "user"."profiles" DROP CONSTRAINT "profiles_display_name";--> statement-breakpoint
ALTER TABLE "user"."profiles" ALTER COLUMN "email" SET DEFAULT '';--> statement-breakpoint
ALTER TABLE "user"."profiles" ALTER COLUMN "display_name" SET DEFAULT '';--> statement-breakpoint
ALTER TABLE "user"."profiles" ADD COLUMN "personal" "bytea";--> statement-breakpoint
CREATE INDEX "profiles_clear" ON "user"."profiles" USING btree ("id") WHERE "user"."profiles"."personal" is null;--> statement-breakpoint
ALTER TABLE "user"."profiles" ADD CONSTRAINT "profiles_sealed" CHECK ("user"."profiles"."personal" is null or ("user"."profiles"."email" = '' and "user"."profiles"."display_name" = '' and "user"."profiles"."phone" = ''));
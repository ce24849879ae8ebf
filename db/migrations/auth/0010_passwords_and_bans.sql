CREATE TABLE "auth"."password_resets" (
	"id" uuid PRIMARY KEY NOT NULL,
	"email_lookup" "bytea" NOT NULL,
	"requested_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone,
	"paid_until" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "password_resets_email_lookup_unique" UNIQUE("email_lookup")
);
--> statement-breakpoint
ALTER TABLE "auth"."accounts" ADD COLUMN "banned_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "auth"."accounts" ADD COLUMN "ban_reason" text;--> statement-breakpoint
CREATE INDEX "password_resets_paid" ON "auth"."password_resets" USING btree ("paid_until");--> statement-breakpoint
CREATE INDEX "accounts_admins" ON "auth"."accounts" USING btree ("id") WHERE 'admin' = any("auth"."accounts"."roles");--> statement-breakpoint
ALTER TABLE "auth"."accounts" ADD CONSTRAINT "accounts_ban" CHECK (("auth"."accounts"."banned_at" is null) = ("auth"."accounts"."ban_reason" is null));
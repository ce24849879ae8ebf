CREATE TABLE "user"."addresses" (
	"id" uuid PRIMARY KEY NOT NULL,
	"user_id" uuid NOT NULL,
	"personal" "bytea" NOT NULL,
	"is_default" boolean NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "addresses_version" CHECK ("user"."addresses"."version" >= 1)
);
--> statement-breakpoint
ALTER TABLE "user"."profiles" ADD COLUMN "email_sequence" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "user"."profiles" ADD COLUMN "deleted_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "user"."addresses" ADD CONSTRAINT "addresses_user_id_profiles_id_fk" FOREIGN KEY ("user_id") REFERENCES "user"."profiles"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "addresses_by_user" ON "user"."addresses" USING btree ("user_id","id");--> statement-breakpoint
CREATE UNIQUE INDEX "addresses_default" ON "user"."addresses" USING btree ("user_id") WHERE "user"."addresses"."is_default";--> statement-breakpoint
ALTER TABLE "user"."profiles" ADD CONSTRAINT "profiles_deleted" CHECK ("user"."profiles"."deleted_at" is null or length("user"."profiles"."personal") = 0);
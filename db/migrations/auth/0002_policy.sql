CREATE TABLE "auth"."revocations" (
	"subject" uuid PRIMARY KEY NOT NULL,
	"below_version" integer,
	"recorded_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "revocations_below_version" CHECK ("auth"."revocations"."below_version" > 1)
);
--> statement-breakpoint
ALTER TABLE "auth"."accounts" ADD COLUMN "token_version" integer DEFAULT 1 NOT NULL;--> statement-breakpoint
CREATE INDEX "revocations_recorded" ON "auth"."revocations" USING btree ("recorded_at");--> statement-breakpoint
CREATE INDEX "revocations_expiry" ON "auth"."revocations" USING btree ("expires_at");--> statement-breakpoint
ALTER TABLE "auth"."accounts" ADD CONSTRAINT "accounts_token_version" CHECK ("auth"."accounts"."token_version" >= 1);
CREATE TABLE "auth"."login_attempts" (
	"key" "bytea" PRIMARY KEY NOT NULL,
	"seconds" integer NOT NULL,
	"times" timestamp (3) with time zone[] NOT NULL,
	"trusted_until" timestamp (3) with time zone,
	"expires_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "auth"."sessions" ADD COLUMN "personal" "bytea";--> statement-breakpoint
CREATE INDEX "login_attempts_expiry" ON "auth"."login_attempts" USING btree ("expires_at");
CREATE TABLE "auth"."access_rules" (
	"name" text PRIMARY KEY NOT NULL,
	"effect" text NOT NULL,
	"pattern" text NOT NULL,
	"roles" text[] NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "access_rules_effect" CHECK ("auth"."access_rules"."effect" in ('DENY', 'ALLOW', 'OPEN')),
	CONSTRAINT "access_rules_open" CHECK ("auth"."access_rules"."effect" <> 'OPEN' or cardinality("auth"."access_rules"."roles") = 0)
);
--> statement-breakpoint
CREATE TABLE "auth"."api_keys" (
	"id" uuid PRIMARY KEY NOT NULL,
	"user_id" uuid NOT NULL,
	"name" text NOT NULL,
	"prefix" text NOT NULL,
	"scopes" text[] NOT NULL,
	"secret_hash" "bytea" NOT NULL,
	"previous_hash" "bytea",
	"previous_until" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"last_used_at" timestamp (3) with time zone,
	"revoked_at" timestamp (3) with time zone,
	CONSTRAINT "api_keys_prefix_unique" UNIQUE("prefix"),
	CONSTRAINT "api_keys_scopes" CHECK (cardinality("auth"."api_keys"."scopes") > 0),
	CONSTRAINT "api_keys_previous" CHECK (("auth"."api_keys"."previous_hash" is null) = ("auth"."api_keys"."previous_until" is null))
);
--> statement-breakpoint
CREATE TABLE "auth"."blocked_users" (
	"user_id" uuid PRIMARY KEY NOT NULL,
	"blocked_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "auth"."policy_revision" (
	"id" integer PRIMARY KEY DEFAULT 1 NOT NULL,
	"revision" bigint NOT NULL,
	CONSTRAINT "policy_revision_single" CHECK ("auth"."policy_revision"."id" = 1)
);
--> statement-breakpoint
CREATE TABLE "auth"."roles" (
	"name" text PRIMARY KEY NOT NULL,
	"description" text NOT NULL,
	"permissions" text[] NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "roles_name" CHECK ("auth"."roles"."name" not in ('customer', 'staff', 'admin'))
);
--> statement-breakpoint
ALTER TABLE "auth"."api_keys" ADD CONSTRAINT "api_keys_user_id_accounts_id_fk" FOREIGN KEY ("user_id") REFERENCES "auth"."accounts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "api_keys_by_user" ON "auth"."api_keys" USING btree ("user_id","id");
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

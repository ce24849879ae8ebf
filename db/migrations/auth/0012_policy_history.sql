CREATE TABLE "auth"."policy_revisions" (
	"revision" bigint PRIMARY KEY NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"author" text NOT NULL,
	"action" text NOT NULL,
	"subject" text NOT NULL,
	"roles" jsonb,
	"rules" jsonb
);
--> statement-breakpoint
-- what was decided before there was a history is its first entry
INSERT INTO "auth"."policy_revisions" (revision, at, author, action, subject, roles, rules)
SELECT revision, now(), 'migration', 'Migrate', '',
	(SELECT coalesce(jsonb_agg(jsonb_build_object('name', name, 'description', description, 'permissions', permissions)), '[]') FROM "auth"."roles"),
	(SELECT coalesce(jsonb_agg(jsonb_build_object('name', name, 'effect', effect, 'pattern', pattern, 'roles', roles)), '[]') FROM "auth"."access_rules")
FROM "auth"."policy_revision";

CREATE TABLE "auth"."config_revisions" (
	"revision" integer PRIMARY KEY NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"author" text NOT NULL,
	"changes" jsonb NOT NULL,
	"values" jsonb NOT NULL,
	CONSTRAINT "config_revisions_revision" CHECK ("auth"."config_revisions"."revision" >= 1)
);

CREATE TABLE "auth"."data_keys" (
	"subject" uuid PRIMARY KEY NOT NULL,
	"wrapped" "bytea",
	"wrapped_by" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	"destroyed_at" timestamp (3) with time zone,
	CONSTRAINT "data_keys_destroyed" CHECK (("auth"."data_keys"."wrapped" is null) = ("auth"."data_keys"."destroyed_at" is not null) and ("auth"."data_keys"."wrapped" is null) = ("auth"."data_keys"."wrapped_by" is null))
);

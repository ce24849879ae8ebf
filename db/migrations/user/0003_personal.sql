CREATE TABLE "user"."data_keys" (
	"subject" uuid PRIMARY KEY NOT NULL,
	"wrapped" "bytea",
	"wrapped_by" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	"destroyed_at" timestamp (3) with time zone,
	CONSTRAINT "data_keys_destroyed" CHECK (("user"."data_keys"."wrapped" is null) = ("user"."data_keys"."destroyed_at" is not null) and ("user"."data_keys"."wrapped" is null) = ("user"."data_keys"."wrapped_by" is null))
);

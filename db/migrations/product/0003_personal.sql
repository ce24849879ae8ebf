CREATE TABLE "product"."data_keys" (
	"subject" uuid PRIMARY KEY NOT NULL,
	"wrapped" "bytea",
	"wrapped_by" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	"destroyed_at" timestamp (3) with time zone,
	CONSTRAINT "data_keys_destroyed" CHECK (("product"."data_keys"."wrapped" is null) = ("product"."data_keys"."destroyed_at" is not null) and ("product"."data_keys"."wrapped" is null) = ("product"."data_keys"."wrapped_by" is null))
);

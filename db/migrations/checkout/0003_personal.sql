CREATE TABLE "checkout"."data_keys" (
	"subject" uuid PRIMARY KEY NOT NULL,
	"wrapped" "bytea",
	"wrapped_by" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	"destroyed_at" timestamp (3) with time zone,
	CONSTRAINT "data_keys_destroyed" CHECK (("checkout"."data_keys"."wrapped" is null) = ("checkout"."data_keys"."destroyed_at" is not null) and ("checkout"."data_keys"."wrapped" is null) = ("checkout"."data_keys"."wrapped_by" is null))
);

--> statement-breakpoint
-- a customer's words about a cancellation are kept with the order only
UPDATE "checkout"."checkouts" SET "failure_reason" = 'CUSTOMER' WHERE "failure_reason" !~ '^[A-Z_]*$';
--> statement-breakpoint
UPDATE "checkout"."outbox" SET "data" = jsonb_set("data", '{reason}', '"CUSTOMER"') WHERE "type" = 'mall.checkout.v1.CheckoutFailed' AND "data"->>'reason' !~ '^[A-Z_]*$';

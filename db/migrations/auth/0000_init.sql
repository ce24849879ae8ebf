CREATE SCHEMA "auth";
--> statement-breakpoint
CREATE TABLE "auth"."accounts" (
	"id" uuid PRIMARY KEY NOT NULL,
	"email" text NOT NULL,
	"display_name" text NOT NULL,
	"password_hash" text NOT NULL,
	"roles" text[] NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "accounts_email_form" CHECK ("auth"."accounts"."email" ~ '^[^@[:space:]]+@[^@[:space:]]+$' and length("auth"."accounts"."email") <= 254),
	CONSTRAINT "accounts_roles" CHECK (cardinality("auth"."accounts"."roles") > 0),
	CONSTRAINT "accounts_password_hash" CHECK ("auth"."accounts"."password_hash" like '$argon2id$%')
);
--> statement-breakpoint
CREATE TABLE "auth"."idempotency" (
	"scope" text NOT NULL,
	"rpc" text NOT NULL,
	"key" text NOT NULL,
	"fingerprint" "bytea" NOT NULL,
	"state" text NOT NULL,
	"response" "bytea",
	"expires_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "idempotency_scope_rpc_key_pk" PRIMARY KEY("scope","rpc","key")
);
--> statement-breakpoint
CREATE TABLE "auth"."inbox" (
	"consumer" text NOT NULL,
	"message_id" uuid NOT NULL,
	"received_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "inbox_consumer_message_id_pk" PRIMARY KEY("consumer","message_id")
);
--> statement-breakpoint
CREATE TABLE "auth"."outbox" (
	"id" uuid PRIMARY KEY NOT NULL,
	"type" text NOT NULL,
	"subject" text NOT NULL,
	"sequence" integer NOT NULL,
	"data" jsonb NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"due_at" timestamp (3) with time zone,
	"dead_at" timestamp (3) with time zone,
	"last_error" text
);
--> statement-breakpoint
CREATE TABLE "auth"."sessions" (
	"id" uuid PRIMARY KEY NOT NULL,
	"user_id" uuid NOT NULL,
	"generation" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"rotated_at" timestamp (3) with time zone,
	"revoked_at" timestamp (3) with time zone,
	"revoke_reason" text,
	CONSTRAINT "sessions_generation" CHECK ("auth"."sessions"."generation" >= 1 and ("auth"."sessions"."generation" = 1) = ("auth"."sessions"."rotated_at" is null)),
	CONSTRAINT "sessions_expiry_after_start" CHECK ("auth"."sessions"."expires_at" > "auth"."sessions"."created_at"),
	CONSTRAINT "sessions_revoked" CHECK (("auth"."sessions"."revoked_at" is null) = ("auth"."sessions"."revoke_reason" is null))
);
--> statement-breakpoint
CREATE TABLE "auth"."signing_keys" (
	"kid" text PRIMARY KEY NOT NULL,
	"generation" integer NOT NULL,
	"public_jwk" jsonb NOT NULL,
	"sealed_private_key" "bytea" NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"retired_at" timestamp (3) with time zone,
	CONSTRAINT "signing_keys_generation_unique" UNIQUE("generation"),
	CONSTRAINT "signing_keys_generation" CHECK ("auth"."signing_keys"."generation" >= 1)
);
--> statement-breakpoint
ALTER TABLE "auth"."sessions" ADD CONSTRAINT "sessions_user_id_accounts_id_fk" FOREIGN KEY ("user_id") REFERENCES "auth"."accounts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "accounts_email" ON "auth"."accounts" USING btree ("email");--> statement-breakpoint
CREATE INDEX "idempotency_expiry" ON "auth"."idempotency" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "outbox_due" ON "auth"."outbox" USING btree ("due_at") WHERE "auth"."outbox"."due_at" is not null;--> statement-breakpoint
CREATE INDEX "sessions_by_user" ON "auth"."sessions" USING btree ("user_id");--> statement-breakpoint
CREATE INDEX "sessions_expiry" ON "auth"."sessions" USING btree ("expires_at");
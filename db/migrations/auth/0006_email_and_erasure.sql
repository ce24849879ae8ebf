CREATE TABLE "auth"."codes" (
	"user_id" uuid NOT NULL,
	"kind" text NOT NULL,
	"generation" integer NOT NULL,
	"personal" "bytea",
	"requested_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone,
	CONSTRAINT "codes_user_id_kind_pk" PRIMARY KEY("user_id","kind"),
	CONSTRAINT "codes_kind" CHECK ("auth"."codes"."kind" in ('EMAIL_VERIFICATION', 'EMAIL_CHANGE')),
	CONSTRAINT "codes_personal" CHECK (("auth"."codes"."personal" is not null) = ("auth"."codes"."kind" = 'EMAIL_CHANGE' and "auth"."codes"."expires_at" is not null)),
	CONSTRAINT "codes_generation" CHECK ("auth"."codes"."generation" >= 1)
);
--> statement-breakpoint
ALTER TABLE "auth"."accounts" ADD COLUMN "email_verified_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "auth"."accounts" ADD COLUMN "erased_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "auth"."codes" ADD CONSTRAINT "codes_user_id_accounts_id_fk" FOREIGN KEY ("user_id") REFERENCES "auth"."accounts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "auth"."accounts" ADD CONSTRAINT "accounts_erased" CHECK ("auth"."accounts"."erased_at" is null or (length("auth"."accounts"."personal") = 0 and "auth"."accounts"."email_lookup" is null));
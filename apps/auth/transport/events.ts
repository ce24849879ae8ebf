import {
  EmailChangeRequestedSchema,
  EmailVerificationRequestedSchema,
  PasswordChangedSchema,
  PasswordResetRequestedSchema,
} from "@mall/gen/mall/auth/v1/events_pb";
import { UserDeletedSchema } from "@mall/gen/mall/user/v1/events_pb";
import { type Consumer, consumer } from "@mall/kernel/bus/consume";
import type { Id } from "@mall/kernel/id";
import { eraseAccount } from "../application/erase-account";
import { mailCode } from "../application/mail-code";
import { mailPasswordChange } from "../application/mail-password-change";
import { mailPasswordReset, notePasswordReset } from "../application/mail-password-reset";
import type { Deps } from "../deps";
import type { CodeKind } from "../domain/code";

/** Nothing is left to do once the mail is sent. */
const nothing = async () => {};

const mailing =
  (deps: Deps, kind: CodeKind) =>
  ({ userId, generation }: { userId: string; generation: number }) =>
    mailCode(deps)({ kind, userId: userId as Id<"usr">, generation });

/**
 * What the auth service does with events. Its own are about mails: through the outbox they are sent at least once, tried
 * again and set aside like every other event, and no request waits for a provider.
 */
export const authConsumers = (deps: Deps): Consumer[] => [
  consumer(EmailVerificationRequestedSchema, nothing, mailing(deps, "EMAIL_VERIFICATION")),
  consumer(EmailChangeRequestedSchema, nothing, mailing(deps, "EMAIL_CHANGE")),
  consumer(
    PasswordResetRequestedSchema,
    (tx, { resetId }, _, userId: Id<"usr"> | undefined) =>
      notePasswordReset(deps)(tx, resetId as Id<"rst">, userId),
    ({ resetId }) => mailPasswordReset(deps)(resetId as Id<"rst">),
  ),
  consumer(PasswordChangedSchema, nothing, ({ userId, tokenVersion }) =>
    mailPasswordChange(deps)(userId as Id<"usr">, tokenVersion),
  ),
  consumer(UserDeletedSchema, (tx, data) => eraseAccount(deps)(tx, data.userId as Id<"usr">)),
];

import { EmailVerificationRequestedSchema } from "@mall/gen/mall/auth/v1/events_pb";
import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { findAccount } from "../db/accounts";
import { nextCode } from "../db/codes";
import type { Deps } from "../deps";

/** Has a code sent to the account's address, unless that is verified or one was sent a moment ago. Fault ACCOUNT_NOT_FOUND. */
export const requestEmailVerification =
  (deps: Pick<Deps, "db" | "clock" | "people" | "announce" | "audit">) =>
  (userId: Id<"usr">): Promise<void> =>
    deps.db.tx(async (tx) => {
      const account = await findAccount(tx, deps.people, userId);
      if (!account) throw notFound("ACCOUNT");
      if (account.emailVerifiedAt) return;
      const code = await nextCode(tx, deps.people, "EMAIL_VERIFICATION", userId, deps.clock());
      if (!code) return;
      const { generation } = code;
      const data = { userId, generation };
      await deps.audit.record(tx, { action: "RequestEmailVerification", subject: userId });
      await deps.announce(tx, {
        desc: EmailVerificationRequestedSchema,
        data,
        subject: userId,
        sequence: generation,
      });
    });

import { PasswordResetRequestedSchema } from "@mall/gen/mall/auth/v1/events_pb";
import { requestReset } from "../db/passwords";
import type { Deps } from "../deps";
import { registrableEmail } from "../domain/account";

/**
 * Has a code sent to an address by which its owner can set another password. It does not look for the account: that is
 * done where the mail is written, so that known and unknown addresses cost and answer the same. Fault VALIDATION.
 */
export const requestPasswordReset =
  (deps: Pick<Deps, "db" | "clock" | "newId" | "people" | "announce" | "audit">) =>
  async (text: string): Promise<void> => {
    const email = registrableEmail(text);
    const resetId = deps.newId("rst");
    await deps.db.tx(async (tx) => {
      const lookup = await deps.people.lookup(tx, email);
      if (!(await requestReset(tx, resetId, lookup, deps.clock()))) return;
      await deps.audit.record(tx, { action: "RequestPasswordReset", subject: resetId });
      const data = { resetId };
      await deps.announce(tx, {
        desc: PasswordResetRequestedSchema,
        data,
        subject: resetId,
        sequence: 1,
      });
    });
  };

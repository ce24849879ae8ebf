import { EmailChangeRequestedSchema } from "@mall/gen/mall/auth/v1/events_pb";
import type { Id } from "@mall/kernel/id";
import { nextCode } from "../db/codes";
import type { Deps } from "../deps";
import { registrableEmail } from "../domain/account";
import { verifyPassword } from "./verify-password";

/**
 * Has a code sent to the address that a user wants to have, and the present one told, once the password was given again.
 * Says nothing of whether the new address has an account. Faults VALIDATION, INVALID_CREDENTIALS, OVERLOADED.
 */
export const requestEmailChange =
  (deps: Deps) =>
  async (userId: Id<"usr">, input: { email: string; password: string }): Promise<void> => {
    const email = registrableEmail(input.email);
    await verifyPassword(deps)(userId, input.password);
    await deps.db.tx(async (tx) => {
      const code = await nextCode(tx, deps.people, "EMAIL_CHANGE", userId, deps.clock(), email);
      if (!code) return;
      const { generation } = code;
      const data = { userId, generation };
      await deps.audit.record(tx, { action: "RequestEmailChange", subject: userId });
      await deps.announce(tx, {
        desc: EmailChangeRequestedSchema,
        data,
        subject: userId,
        sequence: generation,
      });
    });
  };

import { PasswordChangedSchema } from "@mall/gen/mall/auth/v1/events_pb";
import { audited } from "@mall/kernel/audit/refusal";
import { findAccount } from "../db/accounts";
import { findReset, resetTo } from "../db/passwords";
import { revokeSessionsOf } from "../db/sessions";
import type { Deps } from "../deps";
import { codeInvalid } from "../domain/code";
import { checkPassword, parseResetCode } from "../domain/password";
import { forgiveAttempts } from "./attempt";
import { resetKind } from "./mail-password-reset";

/**
 * Gives an account another password by the code that was sent to its address. All sessions end, wrong passwords of before are forgiven. A password that is
 * refused leaves the code good. Faults CODE_INVALID, VALIDATION, OVERLOADED.
 */
export const resetPassword =
  (deps: Deps) =>
  async (input: { code: string; newPassword: string }): Promise<void> => {
    const { resetId, secret } = parseResetCode(input.code);
    if (!deps.secrets.isSecretOf(secret, resetKind, resetId, 1)) throw codeInvalid();
    const entry = { action: "ResetPassword", subject: resetId };
    const userId = await findReset(deps.db, resetId, deps.clock());
    const person = userId && (await findAccount(deps.db, deps.people, userId));
    if (!person) throw audited(codeInvalid(), entry);
    const { isCommonPassword: isCommon } = deps;
    checkPassword(input.newPassword, { pointer: "#/newPassword", person, isCommon });
    const passwordHash = await deps.passwords.hash(input.newPassword);
    const now = deps.clock();
    await deps.db.tx(async (tx) => {
      const tokenVersion = await resetTo(tx, resetId, { userId, to: passwordHash }, now);
      if (!tokenVersion) throw audited(codeInvalid(), entry);
      await revokeSessionsOf(tx, userId, "PASSWORD", now);
      await forgiveAttempts(deps)(tx, userId, person.email);
      const actor = { kind: "user", id: userId } as const;
      await deps.audit.record(tx, { ...entry, subject: userId, actor, metadata: { resetId } });
      const data = { userId, tokenVersion };
      await deps.announce(tx, {
        desc: PasswordChangedSchema,
        data,
        subject: userId,
        sequence: tokenVersion,
      });
    });
  };

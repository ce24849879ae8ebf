import { PasswordChangedSchema } from "@mall/gen/mall/auth/v1/events_pb";
import { audited } from "@mall/kernel/audit/refusal";
import type { Id } from "@mall/kernel/id";
import { later } from "@mall/kernel/time";
import { replacePassword } from "../db/passwords";
import { insertSession, revokeSessionsOf } from "../db/sessions";
import type { Deps } from "../deps";
import { invalidCredentials } from "../domain/account";
import { checkPassword } from "../domain/password";
import { forgiveAttempts } from "./attempt";
import { currentClient } from "./current-client";
import { issueTokens, type Tokens } from "./issue-tokens";
import { verifyPassword } from "./verify-password";

/**
 * Gives a signed-in user another password, once the present one was given again. All sessions end; a new one takes their
 * place, so that a refresh token which somebody copied from this session ends, too. Faults INVALID_CREDENTIALS,
 * VALIDATION, RATE_LIMITED, OVERLOADED.
 */
export const changePassword =
  (deps: Deps) =>
  async (userId: Id<"usr">, input: { currentPassword: string; newPassword: string }): Promise<Tokens> => {
    const action = "ChangePassword";
    const known = await verifyPassword(deps)(userId, input.currentPassword, action);
    const { isCommonPassword: isCommon } = deps;
    checkPassword(input.newPassword, { pointer: "#/newPassword", person: known.account, isCommon });
    const key = await deps.keys.current();
    const passwordHash = await deps.passwords.hash(input.newPassword);
    const createdAt = deps.clock();
    const expiresAt = later(createdAt, deps.refreshTtlSeconds);
    const session = { id: deps.newId("ses"), userId, createdAt, expiresAt };
    const holder = await deps.db.tx(async (tx) => {
      const hashes = { from: known.passwordHash, to: passwordHash };
      const tokenVersion = await replacePassword(tx, userId, hashes, createdAt);
      if (!tokenVersion) throw audited(invalidCredentials(), { action, subject: userId });
      await revokeSessionsOf(tx, userId, "PASSWORD", createdAt);
      await forgiveAttempts(deps)(tx, userId, known.account.email);
      const made = await insertSession(tx, deps.people, { ...session, tokenVersion }, currentClient());
      await deps.audit.record(tx, { action, subject: userId, metadata: { sessionId: session.id } });
      const data = { userId, tokenVersion };
      await deps.announce(tx, {
        desc: PasswordChangedSchema,
        data,
        subject: userId,
        sequence: tokenVersion,
      });
      return made!;
    });
    return issueTokens(deps, key, holder);
  };

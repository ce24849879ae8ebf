import { audited } from "@mall/kernel/audit/refusal";
import type { Id } from "@mall/kernel/id";
import { type Credentials, findCredentialsOf } from "../db/accounts";
import type { Deps } from "../deps";
import { invalidCredentials } from "../domain/account";
import { attempt } from "./attempt";

/**
 * Asks a signed-in user for the password once more, before something that a stolen access token must not do. Accounts
 * that are gone cost and answer the same as a wrong password. A refusal is written down as one of `action`. Faults
 * INVALID_CREDENTIALS, RATE_LIMITED, OVERLOADED.
 */
export const verifyPassword =
  (deps: Deps) =>
  async (userId: Id<"usr">, password: string, action = "VerifyPassword"): Promise<Credentials> => {
    const { result, admitted } = await attempt(deps)(action, { userId }, async () => {
      const known = await findCredentialsOf(deps.db, deps.people, userId);
      const matches = await deps.passwords.verify(password, known?.passwordHash ?? deps.passwords.decoy);
      if (!known || !matches) throw audited(invalidCredentials(), { action, subject: userId });
      return known;
    });
    await deps.db.tx((tx) => admitted.reward(tx));
    return result;
  };

import { audited } from "@mall/kernel/audit/refusal";
import { userBlocked } from "@mall/kernel/rpc/policy";
import { later } from "@mall/kernel/time";
import { findCredentials, upgradePasswordHash } from "../db/accounts";
import { insertSession } from "../db/sessions";
import type { Deps } from "../deps";
import { invalidCredentials } from "../domain/account";
import { normalEmail } from "../domain/email";
import { attempt } from "./attempt";
import { currentClient } from "./current-client";
import { issueTokens, type SignedIn } from "./issue-tokens";

/** Whose password it is. Faults INVALID_CREDENTIALS, after the same work for nobody's; USER_BLOCKED for who knows the password. */
async function identify(deps: Deps, email: string | undefined, { password }: { password: string }) {
  const known = email === undefined ? undefined : await findCredentials(deps.db, deps.people, email);
  const matches = await deps.passwords.verify(password, known?.passwordHash ?? deps.passwords.decoy);
  if (!known || !matches)
    throw audited(invalidCredentials(), { action: "Login", subject: known?.account.id });
  if (known.isBanned) throw audited(userBlocked(), { action: "Login", subject: known.account.id });
  return known;
}

/**
 * Starts a session. Unknown accounts cost one verification, too, and answer the same as a wrong password. A hash made
 * at other costs than today's is replaced. Faults INVALID_CREDENTIALS, RATE_LIMITED, USER_BLOCKED, OVERLOADED.
 */
export const login =
  (deps: Deps) =>
  async (input: { email: string; password: string }): Promise<SignedIn> => {
    const email = normalEmail(input.email);
    const subject = { email: email ?? input.email };
    const { result, admitted } = await attempt(deps)("Login", subject, () => identify(deps, email, input));
    const { account, passwordHash } = result;
    if (!deps.passwords.isCurrent(passwordHash)) {
      await upgradePasswordHash(deps.db, account.id, passwordHash, await deps.passwords.hash(input.password));
    }
    const key = await deps.keys.current();
    const createdAt = deps.clock();
    const expiresAt = later(createdAt, deps.refreshTtlSeconds);
    const { id: userId, tokenVersion } = account;
    const session = { id: deps.newId("ses"), userId, tokenVersion, createdAt, expiresAt };
    const holder = await deps.db.tx(async (tx) => {
      await admitted.reward(tx);
      const made = await insertSession(tx, deps.people, session, currentClient());
      const actor = { kind: "user", id: userId } as const;
      if (made) await deps.audit.record(tx, { action: "Login", subject: session.id, actor });
      return made;
    });
    // password, roles or status changed since they were read: what holds now decides
    return holder ? { account, tokens: await issueTokens(deps, key, holder) } : login(deps)(input);
  };

import { UserRegisteredSchema } from "@mall/gen/mall/auth/v1/events_pb";
import { audited } from "@mall/kernel/audit/refusal";
import { later } from "@mall/kernel/time";
import { insertAccount } from "../db/accounts";
import { insertSession } from "../db/sessions";
import type { Deps } from "../deps";
import {
  type Account,
  displayNameOf,
  emailTaken,
  registrableEmail,
  registrationClosed,
} from "../domain/account";
import { checkPassword } from "../domain/password";
import { currentClient } from "./current-client";
import { issueTokens, type SignedIn } from "./issue-tokens";

/** Who wants an account. */
export interface Registration {
  email: string;
  password: string;
  displayName: string;
}

/** Creates a customer's account and its first session. Faults REGISTRATION_CLOSED, EMAIL_TAKEN, VALIDATION, OVERLOADED. */
export const register =
  (deps: Deps) =>
  async (input: Registration): Promise<SignedIn> => {
    if (deps.settings.get("registration.open") === false) throw registrationClosed();
    const email = registrableEmail(input.email);
    const displayName = displayNameOf(input.displayName, email);
    const { isCommonPassword: isCommon } = deps;
    checkPassword(input.password, { pointer: "#/password", person: { email, displayName }, isCommon });
    const key = await deps.keys.current();
    const passwordHash = await deps.passwords.hash(input.password);
    const createdAt = deps.clock();
    const id = deps.newId("usr");
    const account: Account = { id, email, displayName, roles: ["customer"], tokenVersion: 1, createdAt };
    const expiresAt = later(createdAt, deps.refreshTtlSeconds);
    const session = { id: deps.newId("ses"), userId: id, tokenVersion: 1, createdAt, expiresAt };
    const holder = await deps.db.tx(async (tx) => {
      if (!(await insertAccount(tx, deps.people, account, passwordHash)))
        throw audited(emailTaken(), { action: "Register" });
      const made = await insertSession(tx, deps.people, session, currentClient());
      const metadata = { sessionId: session.id };
      await deps.audit.record(tx, { action: "Register", subject: id, actor: { kind: "user", id }, metadata });
      const data = { userId: account.id };
      await deps.announce(tx, { desc: UserRegisteredSchema, data, subject: account.id, sequence: 1 });
      return made!;
    });
    return { account, tokens: await issueTokens(deps, key, holder) };
  };

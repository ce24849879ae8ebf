import { UserRegisteredSchema } from "@mall/gen/mall/auth/v1/events_pb";
import type { Tx } from "@mall/kernel/db/client";
import { grantRoles, insertAccount } from "../db/accounts";
import type { Deps } from "../deps";
import { type Account, displayNameOf, registrableEmail } from "../domain/account";

const adminRoles = ["customer", "admin"];

/** 144 bits, as 24 characters. */
const randomPassword = () => Buffer.from(crypto.getRandomValues(new Uint8Array(18))).toString("base64url");

type Own = Pick<Deps, "db" | "clock" | "newId" | "announce" | "passwords" | "people" | "audit">;

/** Gives an account that exists the roles; false when there is none. */
async function promote(deps: Own, tx: Tx, email: string): Promise<boolean> {
  const subject = await grantRoles(tx, deps.people, email, adminRoles, deps.clock());
  if (subject) await deps.audit.record(tx, { action: "CreateAdmin", subject });
  return subject !== undefined;
}

/**
 * Makes the account of an address an administrator's. A new account gets a random password, which is returned and
 * kept nowhere; no password means that the account existed and has got the role. Fault VALIDATION.
 */
export const createAdmin =
  (deps: Own) =>
  async (text: string): Promise<{ password?: string }> => {
    const email = registrableEmail(text);
    if (await deps.db.tx((tx) => promote(deps, tx, email))) return {};
    const password = randomPassword();
    const passwordHash = await deps.passwords.hash(password);
    const id = deps.newId("usr");
    const account: Account = {
      id,
      email,
      displayName: displayNameOf("", email),
      roles: adminRoles,
      tokenVersion: 1,
      createdAt: deps.clock(),
    };
    return deps.db.tx(async (tx) => {
      if (await insertAccount(tx, deps.people, account, passwordHash)) {
        await deps.announce(tx, {
          desc: UserRegisteredSchema,
          data: { userId: id },
          subject: id,
          sequence: 1,
        });
        await deps.audit.record(tx, { action: "CreateAdmin", subject: id });
        return { password };
      }
      // somebody registered the address meanwhile
      await promote(deps, tx, email);
      return {};
    });
  };

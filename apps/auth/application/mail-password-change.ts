import type { Id } from "@mall/kernel/id";
import { writeLetter } from "@mall/kernel/mailer/letter";
import { findAccount } from "../db/accounts";
import type { Deps } from "../deps";
import { passwordNotice } from "./letters";

/** Tells a user that the password is another one now. A second time it sends the same. Faults MAILER_UNAVAILABLE, MAIL_REFUSED. */
export const mailPasswordChange =
  (deps: Pick<Deps, "db" | "people" | "mailer">) =>
  async (userId: Id<"usr">, tokenVersion: number): Promise<void> => {
    const account = await findAccount(deps.db, deps.people, userId);
    if (!account) return;
    const letter = writeLetter(passwordNotice(account.displayName));
    await deps.mailer.send({
      id: `password-changed/${userId}/${tokenVersion}`,
      to: account.email,
      ...letter,
    });
  };

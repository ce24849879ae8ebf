import { type Letter, writeLetter } from "@mall/kernel/mailer/letter";
import { findAccount } from "../db/accounts";
import { findCode } from "../db/codes";
import type { Deps } from "../deps";
import { type CodeRef, formatCode } from "../domain/code";
import { changeLetter, changeNotice, verificationLetter } from "./letters";

/**
 * Sends what a user asked for, as long as the code is good: not when another one was asked for since, when it was used or
 * has ended, or when the person is gone. A second time it sends the same. Faults MAILER_UNAVAILABLE, MAIL_REFUSED.
 */
export const mailCode =
  (deps: Pick<Deps, "db" | "clock" | "people" | "secrets" | "mailer">) =>
  async (ref: CodeRef): Promise<void> => {
    const { kind, userId, generation } = ref;
    const found = await findCode(deps.db, deps.people, ref, deps.clock());
    const account = found && (await findAccount(deps.db, deps.people, userId));
    if (!account) return;
    const { email, displayName } = account;
    const send = (what: string, to: string, letter: Letter) =>
      deps.mailer.send({ id: `${what}/${userId}/${generation}`, to, ...writeLetter(letter) });
    const code = formatCode({ ...ref, secret: deps.secrets.secretOf(kind, userId, generation) });
    if (found.newEmail === undefined)
      return send("verification", email, verificationLetter(displayName, code));
    await send("change-notice", email, changeNotice(displayName));
    await send("change", found.newEmail, changeLetter(displayName, code));
  };

import type { Tx } from "@mall/kernel/db/client";
import type { Id } from "@mall/kernel/id";
import { writeLetter } from "@mall/kernel/mailer/letter";
import { findAccount } from "../db/accounts";
import { findReset } from "../db/passwords";
import type { Deps } from "../deps";
import { formatResetCode } from "../domain/password";
import { resetLetter } from "./letters";

/** What the codes of resets are derived for. */
export const resetKind = "PASSWORD_RESET";

/**
 * Sends the code of a reset to the account of its address, as long as it is good, and tells whose account that is; to
 * nobody when the address has none or its user is banned. A second time it sends the same. Faults MAILER_UNAVAILABLE,
 * MAIL_REFUSED.
 */
export const mailPasswordReset =
  (deps: Pick<Deps, "db" | "clock" | "people" | "secrets" | "mailer">) =>
  async (resetId: Id<"rst">): Promise<Id<"usr"> | undefined> => {
    const userId = await findReset(deps.db, resetId, deps.clock());
    const account = userId && (await findAccount(deps.db, deps.people, userId));
    if (!account) return undefined;
    const code = formatResetCode(resetId, deps.secrets.secretOf(resetKind, resetId, 1));
    const letter = resetLetter(account.displayName, code);
    await deps.mailer.send({ id: `password-reset/${resetId}`, to: account.email, ...writeLetter(letter) });
    return userId;
  };

/** Writes down whom a code was sent to. */
export const notePasswordReset =
  ({ audit }: Pick<Deps, "audit">) =>
  async (tx: Tx, resetId: Id<"rst">, userId: Id<"usr"> | undefined): Promise<void> => {
    if (!userId) return;
    await audit.record(tx, { action: "MailPasswordReset", subject: userId, metadata: { resetId } });
  };

import { EmailChangedSchema } from "@mall/gen/mall/auth/v1/events_pb";
import { audited } from "@mall/kernel/audit/refusal";
import { databaseCode } from "@mall/kernel/db/client";
import { hasReason } from "@mall/kernel/fault";
import { changeAddress } from "../db/accounts";
import { useCode } from "../db/codes";
import type { Deps } from "../deps";
import { type Account, emailTaken } from "../domain/account";
import { codeInvalid } from "../domain/code";
import { genuineCode } from "./genuine-code";

const uniqueViolation = "23505";

/** Gives an account the address that the code was sent to, verified by that. Faults CODE_INVALID, EMAIL_TAKEN. */
export const confirmEmailChange =
  (deps: Pick<Deps, "db" | "clock" | "people" | "secrets" | "audit" | "announce">) =>
  async (text: string): Promise<Account> => {
    const code = genuineCode(deps, "EMAIL_CHANGE", text);
    const { userId, generation } = code;
    const entry = { action: "ConfirmEmailChange", subject: userId };
    const now = deps.clock();
    const changed = deps.db.tx(async (tx) => {
      const { newEmail } = (await useCode(tx, deps.people, code, now)) ?? {};
      const account = newEmail && (await changeAddress(tx, deps.people, userId, newEmail, now));
      if (!account) throw audited(codeInvalid(), entry);
      await deps.audit.record(tx, { ...entry, actor: { kind: "user", id: userId } });
      const data = { userId };
      await deps.announce(tx, { desc: EmailChangedSchema, data, subject: userId, sequence: generation });
      return account;
    });
    return changed.catch((error: unknown) => {
      throw databaseCode(error) === uniqueViolation || hasReason(error, "EMAIL_TAKEN")
        ? audited(emailTaken(), entry)
        : error;
    });
  };

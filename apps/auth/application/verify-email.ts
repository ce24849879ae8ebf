import { audited } from "@mall/kernel/audit/refusal";
import { verifyAddress } from "../db/accounts";
import { useCode } from "../db/codes";
import type { Deps } from "../deps";
import type { Account } from "../domain/account";
import { codeInvalid } from "../domain/code";
import { genuineCode } from "./genuine-code";

/** Verifies an account's address by the code that was sent to it. Fault CODE_INVALID. */
export const verifyEmail =
  (deps: Pick<Deps, "db" | "clock" | "people" | "secrets" | "audit">) =>
  async (text: string): Promise<Account> => {
    const code = genuineCode(deps, "EMAIL_VERIFICATION", text);
    const { userId } = code;
    const entry = { action: "VerifyEmail", subject: userId };
    const now = deps.clock();
    return deps.db.tx(async (tx) => {
      const account =
        (await useCode(tx, deps.people, code, now)) && (await verifyAddress(tx, deps.people, userId, now));
      if (!account) throw audited(codeInvalid(), entry);
      await deps.audit.record(tx, { ...entry, actor: { kind: "user", id: userId } });
      return account;
    });
  };

import type { Tx } from "@mall/kernel/db/client";
import type { Id } from "@mall/kernel/id";
import { eraseAccount as eraseRow } from "../db/accounts";
import { deleteKeysOf } from "../db/api-keys";
import { deleteCodesOf } from "../db/codes";
import { deleteSessionsOf } from "../db/sessions";
import type { Deps } from "../deps";

/**
 * Forgets a person: tokens, sessions and keys end, address and name are gone, no password matches. What is left is an
 * account without a person, for the ids in the audit log. The address is free again. A second time it changes nothing.
 */
export const eraseAccount =
  (deps: Pick<Deps, "clock" | "passwords" | "people" | "audit">) =>
  async (tx: Tx, userId: Id<"usr">): Promise<void> => {
    if (!(await eraseRow(tx, deps.people, userId, deps.passwords.decoy, deps.clock()))) return;
    await deleteSessionsOf(tx, userId);
    await deleteKeysOf(tx, userId);
    await deleteCodesOf(tx, userId);
    await deps.audit.record(tx, { action: "EraseAccount", subject: userId });
  };

import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { findAccount } from "../db/accounts";
import { block, countOf } from "../db/policy";
import type { Deps } from "../deps";
import { checkCount } from "../domain/policy";
import { changePolicy, type PolicyDeps } from "./change-policy";

/** Puts a user on the list of blocked ones. Faults ACCOUNT_NOT_FOUND, POLICY_LIMIT. */
export const blockUser =
  (deps: PolicyDeps & Pick<Deps, "people">) =>
  (userId: Id<"usr">): Promise<void> =>
    changePolicy(deps, { action: "BlockUser", subject: userId }, async (tx, now) => {
      if (!(await findAccount(tx, deps.people, userId))) throw notFound("ACCOUNT");
      await block(tx, userId, now);
      checkCount("blockedUsers", await countOf(tx, "blockedUsers"));
    });

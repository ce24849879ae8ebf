import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { findAccount } from "../db/accounts";
import type { Deps } from "../deps";
import type { Account } from "../domain/account";

/** An account by its id. Fault ACCOUNT_NOT_FOUND. */
export const getAccount =
  (deps: Deps) =>
  async (userId: Id<"usr">): Promise<Account> => {
    const account = await findAccount(deps.db, deps.people, userId);
    if (!account) throw notFound("ACCOUNT");
    return account;
  };

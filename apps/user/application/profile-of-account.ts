import type { Id } from "@mall/kernel/id";
import type { Deps } from "../deps";
import { newProfile, type Profile } from "../domain/profile";

/** The profile that a user starts with, as auth knows the account. Fault ACCOUNT_NOT_FOUND, from auth. */
export const profileOfAccount =
  (deps: Deps) =>
  async (id: Id<"usr">): Promise<Profile> => {
    const { account } = await deps.rpc.auth.getAccount({ userId: id });
    return newProfile({ id, email: account!.email, displayName: account!.displayName }, deps.clock());
  };

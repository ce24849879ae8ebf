import type { Tx } from "@mall/kernel/db/client";
import { hasReason } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { insertProfile } from "../db/profiles";
import type { Deps } from "../deps";
import type { Profile } from "../domain/profile";
import { profileOfAccount } from "./profile-of-account";

/** Asks auth about a new user, outside any transaction; undefined when the account is gone already. */
export const findNewcomer =
  (deps: Deps) =>
  (id: Id<"usr">): Promise<Profile | undefined> =>
    profileOfAccount(deps)(id).catch((error: unknown) => {
      if (hasReason(error, "ACCOUNT_NOT_FOUND")) return undefined;
      throw error;
    });

/** Makes the profile of a new user unless the user came first. */
export const welcomeUser =
  (deps: Deps) =>
  async (tx: Tx, newcomer: Profile | undefined): Promise<void> => {
    if (newcomer) await insertProfile(tx, deps.people, newcomer);
  };

import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { findProfile, insertProfile } from "../db/profiles";
import type { Deps } from "../deps";
import type { Profile } from "../domain/profile";
import { profileOfAccount } from "./profile-of-account";

/** A user's profile; a missing one is made from the account. Fault ACCOUNT_NOT_FOUND. */
export const getMe =
  (deps: Deps) =>
  async (id: Id<"usr">): Promise<Profile> => {
    const known = await findProfile(deps.db, id);
    if (known) return known;
    await insertProfile(deps.db, await profileOfAccount(deps)(id));
    const made = await findProfile(deps.db, id);
    if (!made) throw notFound("ACCOUNT");
    return made;
  };

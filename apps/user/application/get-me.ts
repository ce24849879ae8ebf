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
    const known = await findProfile(deps.db, deps.people, id);
    if (known) return known;
    const profile = await profileOfAccount(deps)(id);
    await deps.db.tx((tx) => insertProfile(tx, deps.people, profile));
    const made = await findProfile(deps.db, deps.people, id);
    if (!made) throw notFound("ACCOUNT");
    return made;
  };

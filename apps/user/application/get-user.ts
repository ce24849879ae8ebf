import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { findProfile } from "../db/profiles";
import type { Deps } from "../deps";
import type { Profile } from "../domain/profile";

/** A user, for staff. Fault USER_NOT_FOUND. */
export const getUser =
  (deps: Pick<Deps, "db" | "people">) =>
  async (id: Id<"usr">): Promise<Profile> => {
    const profile = await findProfile(deps.db, deps.people, id);
    if (!profile) throw notFound("USER");
    return profile;
  };

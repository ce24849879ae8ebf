import type { Id } from "@mall/kernel/id";
import { updateProfile } from "../db/profiles";
import type { Deps } from "../deps";
import { changeProfile, type Profile, type ProfileChanges } from "../domain/profile";
import { withProfile } from "./with-profile";

/** Changes a user's profile. Faults ACCOUNT_NOT_FOUND, VERSION_MISMATCH, VALIDATION. */
export const updateMe =
  (deps: Deps) =>
  (id: Id<"usr">, changes: ProfileChanges, expectedVersion: number | undefined): Promise<Profile> =>
    withProfile(deps)(id, async (tx, profile) => {
      const changed = changeProfile(profile, changes, expectedVersion, deps.clock());
      if (changed !== profile) await updateProfile(tx, deps.people, changed);
      return changed;
    });

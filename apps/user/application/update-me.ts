import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { lockProfile, updateProfile } from "../db/profiles";
import type { Deps } from "../deps";
import { changeProfile, type Profile, type ProfileChanges } from "../domain/profile";
import { getMe } from "./get-me";

/** Changes a user's profile, which is made from the account when it is missing. Faults VERSION_MISMATCH, VALIDATION. */
export const updateMe =
  (deps: Deps) =>
  async (id: Id<"usr">, changes: ProfileChanges, expectedVersion: number | undefined): Promise<Profile> => {
    const change = () =>
      deps.db.tx(async (tx) => {
        const profile = await lockProfile(tx, deps.people, id);
        if (!profile) return undefined;
        const changed = changeProfile(profile, changes, expectedVersion, deps.clock());
        if (changed !== profile) await updateProfile(tx, deps.people, changed);
        return changed;
      });
    const changed = await change();
    if (changed) return changed;
    await getMe(deps)(id);
    const retried = await change();
    if (!retried) throw notFound("ACCOUNT");
    return retried;
  };

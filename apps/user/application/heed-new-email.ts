import type { Tx } from "@mall/kernel/db/client";
import { hasReason } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { lockProfile, noteEmailSequence, updateProfile } from "../db/profiles";
import type { Deps } from "../deps";
import { withEmail } from "../domain/profile";
import { accountOf } from "./profile-of-account";

/** Asks auth for the address that a user has now, outside any transaction; undefined when the account is gone. */
export const findNewEmail =
  (deps: Pick<Deps, "rpc">) =>
  async (userId: Id<"usr">): Promise<string | undefined> => {
    try {
      return (await accountOf(deps)(userId)).email;
    } catch (error) {
      if (hasReason(error, "ACCOUNT_NOT_FOUND")) return undefined;
      throw error;
    }
  };

/** Takes a new address over, unless later news about it came first: whoever asked later has the newer one. */
export const heedNewEmail =
  (deps: Pick<Deps, "clock" | "people">) =>
  async (tx: Tx, userId: Id<"usr">, sequence: number, email: string | undefined): Promise<void> => {
    if (email === undefined || !(await noteEmailSequence(tx, userId, sequence))) return;
    const profile = await lockProfile(tx, deps.people, userId);
    if (!profile || profile.email === email) return;
    await updateProfile(tx, deps.people, withEmail(profile, email, deps.clock()));
  };

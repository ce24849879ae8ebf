import type { Id } from "@mall/kernel/id";
import { findAddresses } from "../db/addresses";
import type { Deps } from "../deps";
import type { SavedAddress } from "../domain/address";
import type { Profile } from "../domain/profile";
import { accountOf } from "./profile-of-account";
import { withProfile } from "./with-profile";

/** What account and profile hold about a user. */
export interface Export {
  profile: Profile;
  roles: string[];
  registeredAt: Date;
  addresses: SavedAddress[];
  exportedAt: Date;
}

/** Puts together what is known about a user, and writes down that it was asked for. Fault ACCOUNT_NOT_FOUND. */
export const exportMe =
  (deps: Deps) =>
  async (userId: Id<"usr">): Promise<Export> => {
    const { roles, registeredAt } = await accountOf(deps)(userId);
    return withProfile(deps)(userId, async (tx, profile) => {
      await deps.audit.record(tx, { action: "ExportMe", subject: userId });
      const addresses = await findAddresses(tx, deps.places, userId);
      return { profile, roles, registeredAt, addresses, exportedAt: deps.clock() };
    });
  };

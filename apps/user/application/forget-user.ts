import type { Tx } from "@mall/kernel/db/client";
import type { Id } from "@mall/kernel/id";
import { deleteAddresses } from "../db/addresses";
import { buryProfile } from "../db/profiles";
import type { Deps } from "../deps";

/**
 * Leaves nothing of a user but the fact that this id was deleted. Returns the last version of the profile; undefined when
 * it was done before.
 */
export const forgetUser =
  (deps: Pick<Deps, "clock" | "personal">) =>
  async (tx: Tx, userId: Id<"usr">): Promise<number | undefined> => {
    const version = await buryProfile(tx, userId, deps.clock());
    if (version === undefined) return undefined;
    await deleteAddresses(tx, userId);
    await deps.personal.erase(tx, userId);
    return version;
  };

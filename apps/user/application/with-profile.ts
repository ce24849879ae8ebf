import type { Tx } from "@mall/kernel/db/client";
import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { lockProfile } from "../db/profiles";
import type { Deps } from "../deps";
import type { Profile } from "../domain/profile";
import { getMe } from "./get-me";

/**
 * Runs `work` in a transaction that has the user's profile, and by it all that is the user's, to itself. A missing
 * profile is made from the account, outside of any transaction. Fault ACCOUNT_NOT_FOUND.
 */
export const withProfile =
  (deps: Deps) =>
  async <T>(id: Id<"usr">, work: (tx: Tx, profile: Profile) => Promise<T>): Promise<T> => {
    const attempt = () =>
      deps.db.tx(async (tx) => {
        const profile = await lockProfile(tx, deps.people, id);
        return profile && { result: await work(tx, profile) };
      });
    const first = await attempt();
    if (first) return first.result;
    await getMe(deps)(id);
    const second = await attempt();
    if (!second) throw notFound("ACCOUNT");
    return second.result;
  };

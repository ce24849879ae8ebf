import { type Id, idOf } from "@mall/kernel/id";
import { listProfiles } from "../db/profiles";
import type { Deps } from "../deps";
import type { Profile } from "../domain/profile";

const newestPossible = idOf("usr", "ffffffff-ffff-ffff-ffff-ffffffffffff");

/** A page of the users, newest first, and the id the next page starts after. */
export const listUsers =
  (deps: Pick<Deps, "db" | "people">) =>
  async (page: { size: number; after?: Id<"usr"> }): Promise<{ users: Profile[]; next?: Id<"usr"> }> => {
    const rows = await listProfiles(deps.db, deps.people, page.after ?? newestPossible, page.size + 1);
    const shown = rows.slice(0, page.size);
    return {
      users: shown.flatMap(({ profile }) => profile ?? []),
      next: rows.length > page.size ? shown.at(-1)!.id : undefined,
    };
  };

import type { Id } from "@mall/kernel/id";
import { listBlocked } from "../db/policy";
import type { Deps } from "../deps";

/** A page of blocked users by their ids, and the user the next page starts after. */
export const listBlockedUsers =
  ({ db }: Pick<Deps, "db">) =>
  async (page: { size: number; after?: string }): Promise<{ userIds: Id<"usr">[]; next?: string }> => {
    const found = await listBlocked(db, page.after, page.size + 1);
    const userIds = found.slice(0, page.size);
    return { userIds, next: found.length > page.size ? userIds.at(-1) : undefined };
  };

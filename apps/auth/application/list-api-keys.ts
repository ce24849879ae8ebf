import type { Id } from "@mall/kernel/id";
import { listKeys } from "../db/api-keys";
import type { Deps } from "../deps";
import type { ApiKey } from "../domain/api-key";

/** A page of a user's keys, oldest first, and the key the next page starts after. */
export const listApiKeys =
  ({ db }: Pick<Deps, "db">) =>
  async (
    userId: Id<"usr">,
    page: { size: number; after?: string },
  ): Promise<{ apiKeys: ApiKey[]; next?: string }> => {
    const found = await listKeys(db, userId, page.after, page.size + 1);
    const apiKeys = found.slice(0, page.size);
    return { apiKeys, next: found.length > page.size ? apiKeys.at(-1)!.id : undefined };
  };

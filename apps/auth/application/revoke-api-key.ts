import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { revokeKey } from "../db/api-keys";
import type { Deps } from "../deps";

/** Ends a user's key. Fault API_KEY_NOT_FOUND, also for keys of others and ended ones. */
export const revokeApiKey =
  (deps: Pick<Deps, "db" | "clock">) =>
  async (userId: Id<"usr">, id: Id<"key">): Promise<void> => {
    if (!(await revokeKey(deps.db, id, userId, deps.clock()))) throw notFound("API_KEY");
  };

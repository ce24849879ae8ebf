import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { revokeKey } from "../db/api-keys";
import type { Deps } from "../deps";

/** Ends a user's key. Fault API_KEY_NOT_FOUND, also for keys of others and ended ones. */
export const revokeApiKey =
  (deps: Pick<Deps, "db" | "clock" | "audit">) =>
  (userId: Id<"usr">, id: Id<"key">): Promise<void> =>
    deps.db.tx(async (tx) => {
      if (!(await revokeKey(tx, id, userId, deps.clock()))) throw notFound("API_KEY");
      await deps.audit.record(tx, { action: "RevokeApiKey", subject: id });
    });

import type { Id } from "@mall/kernel/id";
import { listSessionsOf } from "../db/sessions";
import type { Deps } from "../deps";
import type { OwnSession } from "../domain/session";

/** A user with more live sessions than this sees those used last. */
const shownMax = 100;

/** The live sessions of a user, those used last first, at most 100. */
export const listSessions =
  (deps: Pick<Deps, "db" | "clock" | "people">) =>
  (userId: Id<"usr">): Promise<OwnSession[]> =>
    listSessionsOf(deps.db, deps.people, userId, deps.clock(), shownMax);

import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { unblock } from "../db/policy";
import type { Deps } from "../deps";
import { changePolicy } from "./change-policy";

/** Takes a user off the list of blocked ones. Fault BLOCKED_USER_NOT_FOUND. */
export const unblockUser =
  (deps: Pick<Deps, "db" | "clock">) =>
  (userId: Id<"usr">): Promise<void> =>
    changePolicy(deps, async (tx) => {
      if (!(await unblock(tx, userId))) throw notFound("BLOCKED_USER");
    });

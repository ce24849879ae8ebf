import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { unblock } from "../db/policy";
import { changePolicy, type PolicyDeps } from "./change-policy";

/** Takes a user off the list of blocked ones. Fault BLOCKED_USER_NOT_FOUND. */
export const unblockUser =
  (deps: PolicyDeps) =>
  (userId: Id<"usr">): Promise<void> =>
    changePolicy(deps, { action: "UnblockUser", subject: userId }, async (tx) => {
      if (!(await unblock(tx, userId))) throw notFound("BLOCKED_USER");
    });

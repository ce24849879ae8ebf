import { notFound } from "@mall/kernel/fault";
import { dropRole } from "../db/policy";
import type { Deps } from "../deps";
import { changePolicy } from "./change-policy";

/** Deletes a role. Fault ROLE_NOT_FOUND. */
export const deleteRole =
  (deps: Pick<Deps, "db" | "clock">) =>
  (name: string): Promise<void> =>
    changePolicy(deps, async (tx) => {
      if (!(await dropRole(tx, name))) throw notFound("ROLE");
    });

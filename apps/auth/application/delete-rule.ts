import { notFound } from "@mall/kernel/fault";
import { dropRule } from "../db/policy";
import type { Deps } from "../deps";
import { changePolicy } from "./change-policy";

/** Deletes a rule. Fault RULE_NOT_FOUND. */
export const deleteRule =
  (deps: Pick<Deps, "db" | "clock">) =>
  (name: string): Promise<void> =>
    changePolicy(deps, async (tx) => {
      if (!(await dropRule(tx, name))) throw notFound("RULE");
    });

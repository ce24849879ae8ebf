import { notFound } from "@mall/kernel/fault";
import { dropRule } from "../db/policy";
import { changePolicy, type PolicyDeps } from "./change-policy";

/** Deletes a rule. Fault RULE_NOT_FOUND. */
export const deleteRule =
  (deps: PolicyDeps) =>
  (name: string): Promise<void> =>
    changePolicy(deps, { action: "DeleteRule", subject: name }, async (tx) => {
      if (!(await dropRule(tx, name))) throw notFound("RULE");
    });

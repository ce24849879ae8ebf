import { countOf, saveRule } from "../db/policy";
import type { Deps } from "../deps";
import { type AccessRule, checkCount, checkRule } from "../domain/policy";
import { changePolicy } from "./change-policy";

/** Makes a rule or replaces the one of its name. Faults VALIDATION for one that contradicts itself, POLICY_LIMIT. */
export const setRule =
  (deps: Pick<Deps, "db" | "clock">) =>
  async (rule: AccessRule): Promise<AccessRule> => {
    checkRule(rule);
    await changePolicy(deps, async (tx, now) => {
      await saveRule(tx, rule, now);
      checkCount("rules", await countOf(tx, "rules"));
    });
    return rule;
  };

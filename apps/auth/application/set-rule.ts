import { countOf, saveRule } from "../db/policy";
import { type AccessRule, checkCount, checkRule } from "../domain/policy";
import { changePolicy, type PolicyDeps } from "./change-policy";

/** Makes a rule or replaces the one of its name. Faults VALIDATION for one that contradicts itself, POLICY_LIMIT. */
export const setRule =
  (deps: PolicyDeps) =>
  async (rule: AccessRule): Promise<AccessRule> => {
    checkRule(rule);
    await changePolicy(
      deps,
      { action: "SetRule", subject: rule.name, metadata: { effect: rule.effect, pattern: rule.pattern } },
      async (tx, now) => {
        await saveRule(tx, rule, now);
        checkCount("rules", await countOf(tx, "rules"));
      },
    );
    return rule;
  };

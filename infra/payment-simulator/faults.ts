import type { NewRule, Rule, When } from "./control-contract";
import type { OperationName } from "./operation";
import { fraction } from "./seeded";

/** What rules look at. */
export interface Subject {
  operation: OperationName;
  metadata: Record<string, string>;
  token: string | undefined;
  key: string | undefined;
}

export interface Faults {
  add(rule: NewRule): Rule;
  list(): Rule[];
  /** Forgets one rule, or all that were added. Returns whether there was any. */
  clear(id?: string): boolean;
  /** Rules that strike a request at this moment, one after the other: each counts when it is reached. */
  striking(subject: Subject, when: When): Generator<Rule>;
}

type Judged = Rule & { keys: Set<string> };

/** Two tokens carry a fault of their own, so that the same shopping works with the mall's fake provider. */
const tokenRules: readonly (NewRule & { id: string })[] = [
  { id: "tok_lost", token: "tok_lost", oncePerKey: true, effect: { kind: "reset" } },
  {
    id: "tok_error",
    token: "tok_error",
    oncePerKey: true,
    effect: { kind: "answer", when: "before", status: 500 },
  },
];

const whenOf = ({ effect }: Rule): When => (effect.kind === "reset" ? "after" : effect.when);

function matches(rule: Rule, { operation, metadata, token }: Subject): boolean {
  const patterns = [rule.operation ?? "*"].flat();
  const isMeant = patterns.some((pattern) =>
    pattern.endsWith("*") ? operation.startsWith(pattern.slice(0, -1)) : operation === pattern,
  );
  const wanted = Object.entries(rule.metadata ?? {});
  return (
    isMeant &&
    (rule.token === undefined || rule.token === token) &&
    wanted.every(([name, value]) => metadata[name] === value)
  );
}

/** Counts a match and tells whether the rule strikes. */
function strikes(rule: Judged, seed: string, key: string | undefined): boolean {
  rule.matched++;
  if (rule.matched <= (rule.skip ?? 0) || rule.fired >= (rule.times ?? Number.POSITIVE_INFINITY))
    return false;
  if (rule.oncePerKey && rule.keys.has(key ?? "")) return false;
  if (fraction(seed, rule.id, rule.matched) >= (rule.probability ?? 1)) return false;
  rule.fired++;
  rule.keys.add(key ?? "");
  return true;
}

/** The rules of a simulator. */
export function faultRules(seed: string): Faults {
  const fresh = (rule: NewRule & { id: string }): Judged => ({
    ...rule,
    matched: 0,
    fired: 0,
    keys: new Set(),
  });
  const ofTokens = tokenRules.map(fresh);
  let added: Judged[] = [];
  let count = 0;
  const shown = ({ keys: _, ...rule }: Judged): Rule => rule;

  return {
    add(rule) {
      const judged = fresh({ ...rule, id: `rule_${++count}` });
      added.push(judged);
      return shown(judged);
    },
    list: () => [...added, ...ofTokens].map(shown),
    clear(id) {
      const before = added.length;
      added = added.filter((rule) => id !== undefined && rule.id !== id);
      return added.length < before;
    },
    *striking(subject, when) {
      for (const rule of [...added, ...ofTokens]) {
        const isThere = added.includes(rule) || ofTokens.includes(rule);
        if (isThere && whenOf(rule) === when && matches(rule, subject) && strikes(rule, seed, subject.key))
          yield rule;
      }
    },
  };
}

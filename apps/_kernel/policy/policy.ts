import type { DescMethod } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import {
  type GetPolicyResponse,
  type Policy as PolicyMessage,
  type Rule,
  RuleEffect,
} from "@mall/gen/mall/auth/v1/policy_pb";
import { httpRuleOf } from "../rpc/http-rule";
import { matchesPattern } from "./pattern";

/** The rules that match one operation, by what they do. */
interface OperationRules {
  readonly deny: readonly Rule[];
  readonly allow: readonly Rule[];
  readonly open: boolean;
}

/** What operators decided at run time, as one instance knows it. */
export interface Policy {
  /** Whether a role that operators defined has a permission. */
  roleGrants(role: string, permission: string): boolean;
  /** Rules about an operation; found once for each revision. */
  rulesOf(method: DescMethod): OperationRules;
  isBlocked(userId: string): boolean;
  /** Whether all tokens of a session are refused. */
  isEnded(sessionId: string): boolean;
  /** Whether a user's tokens of this version are stale. */
  isStale(userId: string, tokenVersion: number): boolean;
}

/** Every name by which rules can mean a method: its RPC and the path of its REST route, the same on all surfaces. */
export function operationNames(method: DescMethod): string[] {
  const rpc = `/${method.parent.typeName}/${method.name}`;
  const rule = httpRuleOf(method);
  return rule ? [rpc, rule.pattern.replaceAll(/:(\w+)/g, "{$1}")] : [rpc];
}

function rulesFor(method: DescMethod, rules: readonly Rule[]): OperationRules {
  const names = operationNames(method);
  const matching = rules.filter(({ pattern }) => names.some((name) => matchesPattern(pattern, name)));
  const of = (effect: RuleEffect) => matching.filter((rule) => rule.effect === effect);
  return { deny: of(RuleEffect.DENY), allow: of(RuleEffect.ALLOW), open: of(RuleEffect.OPEN).length > 0 };
}

/** Whether a rule is about somebody with these roles. */
export const isAbout = (rule: Rule, roles: readonly string[]): boolean =>
  rule.roles.length === 0 || rule.roles.some((role) => roles.includes(role));

/** Roles and rules of one revision, prepared for questions. */
function decisionsOf({ roles, rules }: Pick<PolicyMessage, "roles" | "rules">, blocked: readonly string[]) {
  const permissions = new Map(roles.map((role) => [role.name, new Set(role.permissions)]));
  const blockedUsers = new Set(blocked);
  const found = new Map<DescMethod, OperationRules>();
  return {
    roleGrants: (role: string, permission: string) => permissions.get(role)?.has(permission) ?? false,
    isBlocked: (userId: string) => blockedUsers.has(userId),
    rulesOf(method: DescMethod) {
      const known = found.get(method) ?? rulesFor(method, rules);
      found.set(method, known);
      return known;
    },
  };
}

/** What an instance knows already, for asking only for the rest. */
export interface Known {
  revision?: bigint;
  revocationsAt?: Date;
  configRevision?: number;
}

/** A policy that answers are merged into. */
export interface PolicyCopy extends Policy {
  readonly known: Known;
  merge(answer: GetPolicyResponse): void;
}

const dropEveryMs = 60_000;

/** An empty copy: nobody has more than the contract gives, nothing is revoked. */
export function policyCopy(): PolicyCopy {
  let decisions = decisionsOf({ roles: [], rules: [] }, []);
  let known: Known = {};
  let dropAtMs = 0;
  const revoked = new Map<string, { belowVersion: number; expiresAtMs: number }>();

  function dropExpired(nowMs: number): void {
    if (nowMs < dropAtMs) return;
    dropAtMs = nowMs + dropEveryMs;
    for (const [subject, { expiresAtMs }] of revoked) if (expiresAtMs <= nowMs) revoked.delete(subject);
  }

  return {
    get known() {
      return known;
    },
    roleGrants: (role, permission) => decisions.roleGrants(role, permission),
    isBlocked: (userId) => decisions.isBlocked(userId),
    rulesOf: (method) => decisions.rulesOf(method),
    isEnded: (sessionId) => revoked.has(sessionId),
    isStale: (userId, tokenVersion) => tokenVersion < (revoked.get(userId)?.belowVersion ?? 0),
    merge({ policy, blockedUserIds, revocations, asOf }) {
      const { revision, revocationsAt } = known;
      for (const { subject, belowVersion, expiresAt } of revocations) {
        const expiresAtMs = expiresAt ? timestampDate(expiresAt).getTime() : Number.POSITIVE_INFINITY;
        const before = revoked.get(subject)?.belowVersion ?? 0;
        revoked.set(subject, { belowVersion: Math.max(before, belowVersion), expiresAtMs });
      }
      const at = asOf && timestampDate(asOf);
      if (at) dropExpired(at.getTime());
      // answers may overtake each other; an older one takes nothing back
      const isNewer = policy !== undefined && (revision === undefined || policy.revision > revision);
      if (isNewer) decisions = decisionsOf(policy, blockedUserIds);
      known = {
        revision: isNewer ? policy.revision : revision,
        revocationsAt: at && (!revocationsAt || at > revocationsAt) ? at : revocationsAt,
      };
    },
  };
}

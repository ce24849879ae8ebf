import { fault, invalid } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { builtInRoles } from "./access";

/** A role that operators defined. */
export interface PolicyRole {
  name: string;
  description: string;
  permissions: string[];
}

/** A rule about operations. */
export interface AccessRule {
  name: string;
  effect: "DENY" | "ALLOW" | "OPEN";
  pattern: string;
  /** Whom it is about; everyone when empty. */
  roles: string[];
}

/** What operators decided, as of one revision. */
export interface Policy {
  revision: bigint;
  roles: PolicyRole[];
  rules: AccessRule[];
}

/** Access tokens that are refused before they expire. */
export interface Revocation {
  subject: Id<"ses"> | Id<"usr">;
  /** Of a user: the lowest version that is good; undefined for all tokens of a session. */
  belowVersion?: number;
  expiresAt: Date;
}

/** What one policy may hold: every instance of every service keeps it in memory. */
export const policyMax = { roles: 100, rules: 200, blockedUsers: 10_000 } as const;

/** Fault VALIDATION when a role of this name is not the operators' to define. */
export function checkRoleName(name: string): void {
  if (!builtInRoles.includes(name)) return;
  throw invalid([{ parameter: "name", pointer: "#/name", detail: "is the name of a built-in role" }]);
}

/** Built-in roles by the permission that they have: every permission of the contract. */
export type BuiltInPermissions = Readonly<Record<string, readonly string[]>>;

/** Fault VALIDATION for permissions that no operation asks for. */
export function checkPermissions(given: readonly string[], known: BuiltInPermissions): void {
  const violations = given.flatMap((permission, at) =>
    Object.hasOwn(known, permission)
      ? []
      : [{ pointer: `#/permissions/${at}`, detail: `no operation needs ${permission}` }],
  );
  if (violations.length > 0) throw invalid(violations);
}

/** Fault VALIDATION when a rule contradicts itself. */
export function checkRule({ effect, roles }: AccessRule): void {
  if (effect !== "OPEN" || roles.length === 0) return;
  throw invalid([{ pointer: "#/roles", detail: "must be empty: who is not signed in has no role" }]);
}

/** Fault POLICY_LIMIT when there are more of something than one policy may hold. */
export function checkCount(what: keyof typeof policyMax, count: number): void {
  if (count <= policyMax[what]) return;
  throw fault("failed_precondition", "POLICY_LIMIT", `There are ${policyMax[what]} of them already.`);
}

import { type DescMethod, getOption, hasOption } from "@bufbuild/protobuf";
import { Access, Idempotency, type MethodPolicy, policy } from "@mall/gen/mall/common/v1/options_pb";
import { fault } from "../fault";
import type { Actor } from "../identity/actor";
import { isAbout, type Policy } from "../policy/policy";

const policies = new WeakMap<DescMethod, MethodPolicy>();

/** The contract's rules of a method, or undefined when it states none. */
export function policyOf(method: DescMethod): MethodPolicy | undefined {
  const known = policies.get(method);
  if (known || !hasOption(method, policy)) return known;
  const read = getOption(method, policy);
  policies.set(method, read);
  return read;
}

/** Whether a method reads what everybody may read: its answer changes without its version, as stock does. */
export const isPublicRead = (method: DescMethod): boolean => {
  const rules = policyOf(method);
  return rules?.access === Access.PUBLIC && rules.idempotency === Idempotency.SAFE;
};

/** Whether an actor may call a method that names roles: by a role, and a machine by a scope as well. */
function mayCall(rules: MethodPolicy, method: DescMethod, actor: Actor, policy?: Policy): boolean {
  const { permission } = rules;
  const roles = rolesOf(actor);
  if (actor.apiKey && !actor.apiKey.scopes.includes(permission)) return false;
  if (roles.some((role) => rules.roles.includes(role))) return true;
  if (permission === "" || !policy) return false;
  return (
    roles.some((role) => policy.roleGrants(role, permission)) ||
    policy.rulesOf(method).allow.some((rule) => isAbout(rule, roles))
  );
}

/** Roles of the user, or of who made the machine's key. */
const rolesOf = ({ user, apiKey }: Actor): readonly string[] => user?.roles ?? apiKey?.roles ?? [];

/**
 * Refuses a caller whom neither the contract nor, where it is given, the policy of the operators lets in:
 * UNAUTHENTICATED when signing in could help, FORBIDDEN otherwise. A method without rules in the contract is refused
 * for everyone. Ownership of objects is the application's to decide.
 */
export function enforcePolicy(method: DescMethod, actor: Actor, policy?: Policy): void {
  const rules = policyOf(method);
  if (rules && actor.service && rules.callers.includes(actor.service)) return;
  const operators = policy?.rulesOf(method);
  const roles = rolesOf(actor);
  if (operators?.deny.some((rule) => isAbout(rule, roles))) throw forbidden();
  switch (rules?.access) {
    case Access.PUBLIC:
    case Access.HOLDER:
      return;
    case Access.USER:
      if (actor.user) return;
      throw actor.apiKey ? forbidden() : unauthenticated();
    case Access.ROLES:
      if (rules.permission !== "" && operators?.open) return;
      if (!actor.user && !actor.apiKey) throw unauthenticated();
      if (mayCall(rules, method, actor, policy)) return;
      throw forbidden();
    default:
      throw forbidden();
  }
}

/**
 * Refuses who has a good token or key and may no longer use it: USER_BLOCKED, TOKEN_STALE when roles, password or
 * status changed after the token was issued, UNAUTHENTICATED when its session has ended.
 */
export function checkIdentity({ user, apiKey }: Actor, policy: Policy): void {
  if (user && policy.isEnded(user.sessionId)) throw sessionEnded();
  if (user && policy.isStale(user.id, user.tokenVersion)) throw tokenStale();
  const userId = user?.id ?? apiKey?.ownerId;
  if (userId && policy.isBlocked(userId)) throw userBlocked();
}

const unauthenticated = () =>
  fault("unauthenticated", "UNAUTHENTICATED", "Sign in first: this needs a bearer token.");
const forbidden = () => fault("permission_denied", "FORBIDDEN", "You may not do this.");
const sessionEnded = () =>
  fault("unauthenticated", "UNAUTHENTICATED", "This session has ended; sign in again.");
const tokenStale = () =>
  fault("unauthenticated", "TOKEN_STALE", "Roles, password or status changed; refresh the access token.");

/** USER_BLOCKED: what the user knows about it is that it is so. */
export const userBlocked = () => fault("permission_denied", "USER_BLOCKED", "This account is blocked.");

/** AUTH_UNAVAILABLE: nothing is known of what operators decided, so only what everybody may read is served. */
export const policyUnknown = () =>
  fault("unavailable", "AUTH_UNAVAILABLE", "Permissions cannot be checked at the moment.", {
    retryAfterSeconds: 1,
  });

import { type DescMethod, getOption, hasOption } from "@bufbuild/protobuf";
import { Access, Idempotency, type MethodPolicy, policy } from "@mall/gen/mall/common/v1/options_pb";
import { fault } from "../fault";
import { type Actor, hasRole } from "../identity/actor";

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

/**
 * Refuses a caller that the contract does not let in: UNAUTHENTICATED when signing in could help, FORBIDDEN
 * otherwise. A method without a policy is refused for everyone. Ownership of objects is the application's to decide.
 */
export function enforcePolicy(method: DescMethod, actor: Actor): void {
  const rules = policyOf(method);
  if (rules && actor.service && rules.callers.includes(actor.service)) return;
  switch (rules?.access) {
    case Access.PUBLIC:
    case Access.HOLDER:
      return;
    case Access.USER:
      if (actor.user) return;
      throw unauthenticated();
    case Access.ROLES:
      if (!actor.user) throw unauthenticated();
      if (hasRole(actor, rules.roles)) return;
      throw forbidden();
    default:
      throw forbidden();
  }
}

const unauthenticated = () =>
  fault("unauthenticated", "UNAUTHENTICATED", "Sign in first: this needs a bearer token.");
const forbidden = () => fault("permission_denied", "FORBIDDEN", "You may not do this.");

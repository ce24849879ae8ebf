import type { DescMethod } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { fault } from "../fault";
import type { VerifyAccessToken } from "../identity/access-token";
import type { Actor } from "../identity/actor";
import type { ServiceTokens } from "../identity/service-token";
import type { PolicySource } from "../policy/source";
import { requestKey, responseKey } from "./context";
import { checkUser, enforcePolicy, isPublicRead, policyUnknown } from "./policy";
import { requestIdOf } from "./request-id";

export interface GateDeps {
  verifyAccessToken: VerifyAccessToken;
  serviceTokens: ServiceTokens;
  policy: PolicySource;
  clock: () => Date;
}

async function actorOf(deps: GateDeps, header: Headers): Promise<Actor> {
  const authorization = header.get("authorization");
  const serviceToken = header.get("x-service-token");
  const bearer = authorization === null ? undefined : /^Bearer +([^ ]+)$/i.exec(authorization)?.[1];
  if (authorization !== null && !bearer) {
    throw fault("unauthenticated", "UNAUTHENTICATED", "The Authorization header must be: Bearer <token>.");
  }
  return {
    user: bearer ? await deps.verifyAccessToken(bearer) : undefined,
    service: serviceToken ? await deps.serviceTokens.callerOf(serviceToken) : undefined,
    cartSecret: header.get("x-cart-secret") ?? undefined,
    orderSecret: header.get("x-order-secret") ?? undefined,
  };
}

/**
 * Decides on a call that enters the mall. One that comes from another service was decided on where it came in, and a
 * purchase half done is not stopped by a rule that came in between: there the contract alone decides.
 */
async function decide(deps: GateDeps, method: DescMethod, actor: Actor): Promise<void> {
  if (actor.service) return enforcePolicy(method, actor);
  const policy = await deps.policy();
  if (policy) checkUser(actor, policy);
  else if (!isPublicRead(method)) throw policyUnknown();
  enforcePolicy(method, actor, policy);
}

/**
 * Runs before a body is read, on every surface: authentication, then policy. A present but invalid token is
 * UNAUTHENTICATED even on public methods.
 */
export const requestGate =
  (deps: GateDeps) =>
  async (context: HandlerContext): Promise<void> => {
    const header = context.requestHeader;
    context.values.set(responseKey, context);
    const actor = await actorOf(deps, header);
    const remainingMs = context.timeoutMs();
    context.values.set(requestKey, {
      actor,
      requestId: requestIdOf(header),
      traceparent: header.get("traceparent") ?? undefined,
      authorization: header.get("authorization") ?? undefined,
      deadlineMs: remainingMs === undefined ? undefined : deps.clock().getTime() + remainingMs,
    });
    await decide(deps, context.method, actor);
  };

import type { DescMethod } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { Audit } from "../audit/record";
import { fault, faultInfo } from "../fault";
import type { VerifyAccessToken } from "../identity/access-token";
import type { Actor } from "../identity/actor";
import { isApiKey, type VerifyApiKey } from "../identity/api-key";
import { clientIn, type RemoteClient } from "../identity/client";
import { rpcScope, type ServiceTokens } from "../identity/service-token";
import type { PolicySource } from "../policy/source";
import { currentRequest, type RequestContext, requestKey, responseKey } from "./context";
import { checkIdentity, enforcePolicy, isPublicRead, policyUnknown } from "./policy";
import { requestIdOf } from "./request-id";

export interface GateDeps {
  verifyAccessToken: VerifyAccessToken;
  verifyApiKey: VerifyApiKey;
  serviceTokens: ServiceTokens;
  policy: PolicySource;
  /** Has the policy asked for where no request waits for it, so that settings are followed. */
  follow(): void;
  clock: () => Date;
  audit: Pick<Audit, "refused">;
}

/**
 * Who calls, and from where. The gateway speaks for its client only: its token makes the headers about the client
 * believed, and it is no actor itself.
 */
async function callerOf(
  deps: GateDeps,
  method: DescMethod,
  header: Headers,
): Promise<{ actor: Actor; client: RemoteClient }> {
  const authorization = header.get("authorization");
  const serviceToken = header.get("x-service-token");
  const bearer = authorization === null ? undefined : /^Bearer +([^ ]+)$/i.exec(authorization)?.[1];
  if (authorization !== null && !bearer) {
    throw fault("unauthenticated", "UNAUTHENTICATED", "The Authorization header must be: Bearer <token>.");
  }
  const apiKey = bearer && isApiKey(bearer) ? await deps.verifyApiKey(bearer) : undefined;
  const user = bearer && !apiKey ? await deps.verifyAccessToken(bearer) : undefined;
  const service = serviceToken
    ? await deps.serviceTokens.callerOf(serviceToken, rpcScope(method))
    : undefined;
  const actor = {
    user,
    apiKey,
    service: service === "gateway" ? undefined : service,
    cartSecret: header.get("x-cart-secret") ?? undefined,
    orderSecret: header.get("x-order-secret") ?? undefined,
  };
  return { actor, client: service ? clientIn(header) : {} };
}

/** Somebody known who tries what they may not is an event; a stranger is told to sign in, and that is all. */
async function writeDown(audit: GateDeps["audit"], request: RequestContext, action: string, error: unknown) {
  const reason = faultInfo(error)?.reason;
  const { user, apiKey, service } = request.actor;
  if (!reason || !(user || apiKey || service)) return;
  await currentRequest.run(request, () => audit.refused({ action, reason }));
}

/**
 * Decides on a call that enters the mall. One that comes from another service was decided on where it came in, and a
 * purchase half done is not stopped by a rule that came in between: there the contract alone decides.
 */
async function decide(deps: GateDeps, method: DescMethod, actor: Actor): Promise<void> {
  if (actor.service) {
    deps.follow();
    return enforcePolicy(method, actor);
  }
  const policy = await deps.policy();
  if (policy) checkIdentity(actor, policy);
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
    const { actor, client } = await callerOf(deps, context.method, header);
    const remainingMs = context.timeoutMs();
    const request: RequestContext = {
      actor,
      client,
      requestId: requestIdOf(header),
      traceparent: header.get("traceparent") ?? undefined,
      authorization: header.get("authorization") ?? undefined,
      deadlineMs: remainingMs === undefined ? undefined : deps.clock().getTime() + remainingMs,
    };
    context.values.set(requestKey, request);
    try {
      await decide(deps, context.method, actor);
    } catch (error) {
      await writeDown(deps.audit, request, context.method.name, error);
      throw error;
    }
  };

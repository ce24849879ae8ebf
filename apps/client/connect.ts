import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { type ConnectTransportOptions, createConnectTransport } from "@connectrpc/connect-web";
import type { Reason } from "@mall/gen/client/reasons";
import { FaultInfoSchema } from "@mall/gen/mall/common/v1/fault_pb";
import { type CallDeps, carryOut } from "./call";
import { clientFault, type Fault, faultOf, retryAfterMsOf, withFault } from "./fault";
import { type ClientOptions, timeoutMsDefault } from "./options";
import { patience } from "./retry";
import { rulesOf } from "./rules";

const passing: readonly Code[] = [Code.Unavailable, Code.DeadlineExceeded];
const final: readonly Code[] = [Code.NotFound, Code.Aborted, Code.AlreadyExists, Code.FailedPrecondition];

/** What a ConnectError says in its details; without these something between here and the mall has answered. */
function faultOfConnect(error: ConnectError, requestId: string): Fault {
  const [info] = error.findDetails(FaultInfoSchema);
  const retryAfterMs = retryAfterMsOf(error.metadata);
  const isPassing = retryAfterMs > 0 || passing.includes(error.code);
  if (!info)
    return {
      ...clientFault(isPassing ? "NO_ANSWER" : "INTERNAL", error.rawMessage, requestId),
      isPassing,
      retryAfterMs,
    };
  return {
    reason: info.reason as Reason,
    message: error.rawMessage,
    metadata: info.metadata,
    violations: info.violations,
    requestId: info.requestId || requestId,
    retryAfterMs,
    isPassing,
    isFinal: !isPassing && final.includes(error.code),
  };
}

/** The error to throw for what fetch or the mall said, with its fault. */
function explained(error: unknown, requestId: string): unknown {
  if (error instanceof TypeError) {
    const fault = clientFault("NO_ANSWER", "The mall could not be reached.", requestId);
    return withFault(new ConnectError(fault.message, Code.Unavailable, undefined, undefined, error), fault);
  }
  if (error instanceof ConnectError) return withFault(error, faultOfConnect(error, requestId));
  return error;
}

/** Carries out unary calls by the rules of their contract. */
function carrying(deps: CallDeps): Interceptor {
  return (next) => (request) => {
    if (request.stream) return next(request);
    const { method, header, signal } = request;
    const send = () =>
      next(request).catch((error) => {
        throw signal.aborted ? error : explained(error, header.get("x-request-id") ?? "");
      });
    return carryOut({ rules: rulesOf(method), header, signal, send }, deps).catch((error) => {
      const fault = faultOf(error);
      if (error instanceof ConnectError || !fault) throw error;
      // Connect wraps what is not its own, and the fault of a failed refresh would be lost
      throw withFault(ConnectError.from(error), fault);
    });
  };
}

/**
 * A Connect-Web transport for `createClient` of the contract's services. Calls carry the session's token, the guest's
 * secrets and an Idempotency-Key where their contract asks for one, and are repeated where it allows that. They throw
 * ConnectErrors that `faultOf` explains.
 */
export function mallTransport(
  options: ClientOptions & Pick<ConnectTransportOptions, "useBinaryFormat">,
): Transport {
  const { url, session, secrets, timeoutMs = timeoutMsDefault, fetch, useBinaryFormat } = options;
  const retry = { ...patience, ...options.retry };
  return createConnectTransport({
    baseUrl: url,
    defaultTimeoutMs: timeoutMs,
    useBinaryFormat,
    fetch,
    interceptors: [carrying({ session, secrets, retry })],
  });
}

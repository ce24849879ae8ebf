import { ConnectError } from "@connectrpc/connect";
import { fault } from "@mall/kernel/fault";
import { claimsIdentity } from "@mall/kernel/identity/claimed-headers";
import type { Registry, Sending } from "@mall/kernel/registry/port";
import { timeoutMsOf } from "@mall/kernel/rpc/deadline";
import { limits } from "@mall/kernel/rpc/limits";
import { requestIdOf } from "@mall/kernel/rpc/request-id";
import type { ServiceName } from "@mall/kernel/topology";
import { edgeError } from "./edge-error";
import { receivedBody } from "./request-limits";

/** Headers that belong to one hop. */
const hopByHop = ["connection", "keep-alive", "transfer-encoding", "upgrade"];

/** Removes what belongs to the hop before, and every claim of who somebody is or comes from. */
function stripHeaders(headers: Headers): void {
  for (const name of [...headers.keys()])
    if (hopByHop.includes(name) || claimsIdentity(name)) headers.delete(name);
}

/** Beyond the time that the service itself has, so that its own answer comes first. */
const patienceMs = 500;

/** What the gateway knows of a request that it passes on. */
export interface Forwarding extends Sending {
  bodyBytesMax: number;
  /** Headers that the gateway itself adds. */
  own?: Headers;
}

/** Why no answer of the service can be passed on, as the client is told. */
function unanswered(service: ServiceName, error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if ((error as Error).name === "TimeoutError")
    return fault("deadline_exceeded", "DEADLINE_EXCEEDED", `The ${service} service took too long.`);
  return fault("unavailable", "SERVICE_UNAVAILABLE", `The ${service} service cannot be reached.`, {
    retryAfterSeconds: 1,
    cause: error,
  });
}

/**
 * Sends a request on to the service that owns it, undecoded, with the time that its client gives it, a minute where
 * it says nothing and the service does not end it before.
 */
export async function forward(
  registry: Registry,
  service: ServiceName,
  request: Request,
  { bodyBytesMax, own, isRepeatable }: Forwarding,
): Promise<Response> {
  const requestId = requestIdOf(request.headers);
  const headers = new Headers(request.headers);
  stripHeaders(headers);
  headers.set("x-request-id", requestId);
  own?.forEach((value, name) => void headers.set(name, value));
  try {
    const body = await receivedBody(request, bodyBytesMax);
    const givenMs = timeoutMsOf(request.headers);
    // who names no time has what the service grants, which may change while it runs
    const waitMs = givenMs ?? limits.timeoutMsMax + patienceMs;
    const signal = AbortSignal.any([request.signal, AbortSignal.timeout(waitMs)]);
    const { method } = request;
    const passed = new Request(request.url, { method, headers, signal, body, redirect: "manual" });
    const response = await registry.fetch(service)(passed, { isRepeatable });
    return new Response(response.body, response);
  } catch (error) {
    return edgeError(request, unanswered(service, error));
  }
}

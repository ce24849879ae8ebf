import { ConnectError } from "@connectrpc/connect";
import { errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { fault } from "@mall/kernel/fault";
import { claimsIdentity } from "@mall/kernel/identity/claimed-headers";
import { problemResponse } from "@mall/kernel/problem";
import type { Registry } from "@mall/kernel/registry/port";
import { requestIdOf } from "@mall/kernel/rpc/request-id";
import type { ServiceName } from "@mall/kernel/topology";

/** Headers that belong to one hop. */
const hopByHop = ["connection", "keep-alive", "transfer-encoding", "upgrade"];

/** Removes what belongs to the hop before, and every claim of who somebody is or comes from. */
function stripHeaders(headers: Headers): void {
  for (const name of [...headers.keys()])
    if (hopByHop.includes(name) || claimsIdentity(name)) headers.delete(name);
}

const timeoutMs = 35_000;

/** Answers a failure of the edge in the form the client speaks. */
export function edgeError(request: Request, error: ConnectError, requestId: string): Response {
  const path = new URL(request.url).pathname;
  if (!path.startsWith("/mall.")) return problemResponse(error, requestId);
  const { status, headers } = problemResponse(error, requestId);
  headers.set("content-type", "application/json");
  return new Response(errorToJsonBytes(error, {}) as Uint8Array<ArrayBuffer>, { status, headers });
}

/** Sends a request on to the service that owns it, body unread; `own` are headers that the gateway itself adds. */
export async function forward(
  registry: Registry,
  service: ServiceName,
  request: Request,
  bodyBytesMax: number,
  own?: Headers,
): Promise<Response> {
  const requestId = requestIdOf(request.headers);
  if (Number(request.headers.get("content-length") ?? 0) > bodyBytesMax) {
    const detail = `The body is larger than ${bodyBytesMax} bytes.`;
    return edgeError(request, fault("resource_exhausted", "PAYLOAD_TOO_LARGE", detail), requestId);
  }
  const headers = new Headers(request.headers);
  stripHeaders(headers);
  headers.set("x-request-id", requestId);
  own?.forEach((value, name) => void headers.set(name, value));
  try {
    const signal = AbortSignal.any([request.signal, AbortSignal.timeout(timeoutMs)]);
    const response = await registry.fetch(service)(new Request(request, { headers, signal }));
    return new Response(response.body, response);
  } catch (error) {
    const known = error instanceof ConnectError ? error : undefined;
    const unreachable = `The ${service} service cannot be reached.`;
    const answer =
      known ??
      fault("unavailable", "SERVICE_UNAVAILABLE", unreachable, { retryAfterSeconds: 1, cause: error });
    return edgeError(request, answer, requestId);
  }
}

import type { ConnectError } from "@connectrpc/connect";
import { errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { problemResponse } from "@mall/kernel/problem";
import { requestIdOf } from "@mall/kernel/rpc/request-id";

/**
 * Answers a failure of the edge in the form the client speaks: problem+json on REST, a Connect error on Connect paths,
 * and on gRPC-Web, where the HTTP status is always 200, an answer without messages that has the status in its headers.
 */
export function edgeError(request: Request, error: ConnectError): Response {
  const answer = problemResponse(error, requestIdOf(request.headers));
  if (!new URL(request.url).pathname.startsWith("/mall.")) return answer;
  const { status, headers } = answer;
  const asked = request.headers.get("content-type") ?? "";
  if (asked.startsWith("application/grpc-web")) {
    const trailer = new Headers({ "content-type": asked });
    setTrailerStatus(trailer, error);
    trailer.forEach((value, name) => void headers.set(name, value));
    return new Response(null, { status: 200, headers });
  }
  headers.set("content-type", "application/json");
  return new Response(errorToJsonBytes(error, {}) as Uint8Array<ArrayBuffer>, { status, headers });
}

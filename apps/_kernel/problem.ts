import { Code, type ConnectError } from "@connectrpc/connect";
import { codeName, fault, faultInfo } from "./fault";

const statusOfCode: Partial<Record<Code, number>> = {
  [Code.InvalidArgument]: 400,
  [Code.OutOfRange]: 400,
  [Code.Unauthenticated]: 401,
  [Code.PermissionDenied]: 403,
  [Code.NotFound]: 404,
  [Code.Aborted]: 409,
  [Code.AlreadyExists]: 409,
  [Code.FailedPrecondition]: 409,
  [Code.ResourceExhausted]: 429,
  [Code.Canceled]: 499,
  [Code.Unimplemented]: 501,
  [Code.Unavailable]: 503,
  [Code.DeadlineExceeded]: 504,
};

const statusOfReason: Record<string, number> = {
  PAYMENT_DECLINED: 402,
  METHOD_NOT_ALLOWED: 405,
  REQUEST_TIMEOUT: 408,
  VERSION_MISMATCH: 412,
  PAYLOAD_TOO_LARGE: 413,
  URI_TOO_LONG: 414,
  UNSUPPORTED_MEDIA_TYPE: 415,
  IDEMPOTENCY_KEY_REUSED: 422,
  HEADERS_TOO_LARGE: 431,
};

/** HTTP status of a fault on REST, by its reason first, else by its Connect code; 500 for what is no fault. */
export const restStatus = (code: Code, reason: string): number =>
  statusOfReason[reason] ?? statusOfCode[code] ?? 500;

const titleOf = (reason: string): string => {
  const words = reason.toLowerCase().replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
};

/** A fault as RFC 9457 problem+json. Errors that are no faults tell nothing but the request id. */
export function problemResponse(error: ConnectError, requestId: string): Response {
  const info = faultInfo(error);
  const reason = info?.reason || codeName(error.code).toUpperCase();
  const status = restStatus(error.code, reason);
  const body = {
    type: `/problems/${reason.toLowerCase().replaceAll("_", "-")}`,
    title: titleOf(reason),
    status,
    detail: error.rawMessage,
    instance: `urn:uuid:${info?.requestId || requestId}`,
    reason,
    metadata: info?.metadata ?? {},
    errors: (info?.violations ?? []).map((v) =>
      v.parameter
        ? { parameter: v.parameter, detail: v.detail }
        : { pointer: v.pointer || "#", detail: v.detail },
    ),
  };
  const headers = new Headers({
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    "x-request-id": requestId,
  });
  for (const name of ["retry-after", "idempotent-replayed", "allow"]) {
    const value = error.metadata.get(name);
    if (value) headers.set(name, value);
  }
  if (status === 401) headers.set("www-authenticate", 'Bearer realm="edgemall"');
  if ((status === 429 || status === 503) && !headers.has("retry-after")) headers.set("retry-after", "1");
  return new Response(JSON.stringify(body), { status, headers });
}

/** Says which methods a path knows, in Allow, to a request with another one. */
export function methodNotAllowed(method: string, known: Iterable<string>): ConnectError {
  const error = fault("unimplemented", "METHOD_NOT_ALLOWED", `${method} is not served here.`);
  error.metadata.set("allow", [...known].join(", "));
  return error;
}

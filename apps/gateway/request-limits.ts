import { fault } from "@mall/kernel/fault";
import { readBody } from "@mall/kernel/rpc/body";
import type { MiddlewareHandler } from "hono";
import { edgeError } from "./edge-error";

/** Limits of what a client sends; Bun itself refuses more than 16 KiB before the body. */
export const requestLimits = {
  urlLengthMax: 8 * 1024,
  headerBytesMax: 16 * 1024,
  /** For each MiB that the method may have. */
  bodyMs: 10_000,
  bodyMsMax: 60_000,
};

function tooLong(request: Request) {
  const { urlLengthMax, headerBytesMax } = requestLimits;
  if (request.url.length > urlLengthMax)
    return fault(
      "resource_exhausted",
      "URI_TOO_LONG",
      `The address is longer than ${urlLengthMax} characters.`,
    );
  let bytes = 0;
  request.headers.forEach((value, name) => {
    bytes += name.length + value.length + 4;
  });
  if (bytes > headerBytesMax)
    return fault(
      "resource_exhausted",
      "HEADERS_TOO_LARGE",
      `The headers are larger than ${headerBytesMax} bytes.`,
    );
  return undefined;
}

/** Refuses URI_TOO_LONG (414) and HEADERS_TOO_LARGE (431). */
export const sizedHead: MiddlewareHandler = async (c, next) => {
  const refusal = tooLong(c.req.raw);
  if (!refusal) return next();
  c.res = edgeError(c.req.raw, refusal);
};

/**
 * The whole body of a request. It is read before anybody else is kept waiting, so that a client that sends slowly holds
 * nothing but its own connection. Faults PAYLOAD_TOO_LARGE and, when it takes too long, REQUEST_TIMEOUT.
 */
export async function receivedBody(
  request: Request,
  bytesMax: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (!request.body || request.method === "GET" || request.method === "HEAD") return undefined;
  const { bodyMs, bodyMsMax } = requestLimits;
  const waitMs = Math.min(bodyMsMax, bodyMs * Math.max(1, bytesMax / (1024 * 1024)));
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const message = `The body did not arrive within ${waitMs / 1000} s.`;
    timer = setTimeout(() => reject(fault("deadline_exceeded", "REQUEST_TIMEOUT", message)), waitMs);
  });
  try {
    return await Promise.race([readBody(request, bytesMax), late]);
  } finally {
    clearTimeout(timer);
  }
}

import {
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from "node:http2";
import { NotSent, type Outgoing } from "../registry/port";
import type { Connection } from "./connection";

/** Headers of HTTP/1.1 that are about a connection, which HTTP/2 refuses, and what the body itself says. */
const notPassed = [
  ...[
    "connection",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
  ],
  ...["upgrade", "content-length"],
];

function headersOf({ method, path, headers, body }: Outgoing): OutgoingHttpHeaders {
  const sent: OutgoingHttpHeaders = { ":method": method, ":path": path };
  for (const [name, value] of headers) if (!notPassed.includes(name)) sent[name] = value;
  if (body) sent["content-length"] = body.byteLength;
  return sent;
}

function responseOf(headers: IncomingHttpHeaders, body: Buffer): Response {
  const received = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(":") || value === undefined) continue;
    for (const each of [value].flat()) received.append(name, each);
  }
  // a body, even an empty one, is an error with 204 and 304
  const content = body.length > 0 ? (body as Uint8Array<ArrayBuffer>) : null;
  return new Response(content, { status: Number(headers[":status"]), headers: received });
}

/** Why a stream ended without an answer; the peer says of some that it has not begun with them. */
function failure({ session, lastStream }: Connection, stream: ClientHttp2Stream): Error {
  const message = `the connection ended without an answer (${stream.rstCode ?? "no code"})`;
  const isRefused = stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
  const isBeyondLast = session.closed && (stream.id ?? 0) > lastStream;
  return isRefused || isBeyondLast ? new NotSent(message) : new Error(message);
}

/**
 * One request and its whole answer on a connection. Rejects with NotSent when the peer has not begun with it, with the
 * signal's reason when that aborts first, which also ends the work at the peer.
 */
export function exchange(connection: Connection, out: Outgoing): Promise<Response> {
  const { signal, body } = out;
  return new Promise((resolve, reject) => {
    let stream: ClientHttp2Stream;
    try {
      stream = connection.session.request(headersOf(out), { endStream: body === undefined });
    } catch (cause) {
      return reject(new NotSent("the connection has just ended", { cause }));
    }
    const onAbort = () => {
      reject(signal.reason);
      stream.close(constants.NGHTTP2_CANCEL);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    let headers: IncomingHttpHeaders | undefined;
    const chunks: Buffer[] = [];
    stream.on("response", (received) => {
      headers = received;
    });
    stream.on("data", (chunk: Buffer) => void chunks.push(chunk));
    stream.on("end", () => {
      if (headers && stream.rstCode === constants.NGHTTP2_NO_ERROR)
        resolve(responseOf(headers, Buffer.concat(chunks)));
    });
    const onEnd = () => reject(failure(connection, stream));
    stream.on("error", onEnd);
    stream.on("close", () => {
      signal.removeEventListener("abort", onAbort);
      onEnd();
    });
    if (body) stream.end(new Uint8Array(body));
  });
}

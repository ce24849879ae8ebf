import { constants, createSecureServer, type Http2ServerRequest, type ServerHttp2Session } from "node:http2";
import type { ConnectRouter } from "@connectrpc/connect";
import type { Fetch } from "../host/drain";
import { fetchHandler, type Listening, listening, rpcHandler } from "../host/http2";
import { currentPeer } from "../identity/peer";
import type { Log } from "../log";
import type { Credentials } from "./credentials";
import type { LiveCredentials } from "./live";
import { peersBy } from "./peer";

interface Options {
  routes: (router: ConnectRouter) => void;
  fetch: Fetch;
  live: LiveCredentials;
  clock: () => Date;
  port: number;
  hostname?: string;
  log: Log;
}

/** Milliseconds that calls may still take on a connection whose certificate is believed no longer. */
const lastCallsMs = 20_000;
/** Refusals are logged at most once in this time, so that nobody can fill the log. */
const refusalLogMs = 1_000;

const tlsOptions = ({ ca, cert, key }: Credentials) => ({
  ...{ ca, cert, key, requestCert: true, rejectUnauthorized: true },
  minVersion: "TLSv1.3" as const,
  // what the gateway takes over HTTP/1.1 must pass here, or a client could make instances look broken
  maxHeaderListPairs: 4_096,
});

const isGrpc = ({ headers }: Http2ServerRequest): boolean =>
  /^application\/grpc(?!-web)/.test(headers["content-type"] ?? "");

/** Logs refusals, with how many there were since the last one that was logged. */
function refusalLog(log: Log, clock: () => Date) {
  let [untold, nextMs] = [0, 0];
  return (refusal: string) => {
    untold++;
    if (clock().getTime() < nextMs) return;
    log("warn", "connections were refused", { refusal, refused: untold });
    [untold, nextMs] = [0, clock().getTime() + refusalLogMs];
  };
}

/**
 * Serves the other services of the mall over HTTP/2 with mutual TLS: Connect, REST and events as on HTTP/1.1, and gRPC.
 * Whoever has no certificate of a service is refused: in the handshake, when the connection is there, and again at each
 * request by what is trusted then. New certificates are used for connections from then on, open ones go on; those of
 * peers that are believed no longer end.
 */
export async function serveMtls({
  routes,
  fetch,
  live,
  clock,
  port,
  hostname,
  log,
}: Options): Promise<Listening> {
  const peerOf = peersBy(live, "client", clock);
  const refused = refusalLog(log, clock);
  const plain = fetchHandler(fetch);
  const grpc = rpcHandler(routes, plain);
  const server = createSecureServer(tlsOptions(live.current), (request, response) => {
    const session = request.stream.session as ServerHttp2Session;
    const peer = peerOf(session);
    if ("refusal" in peer) {
      refused(peer.refusal);
      // says that nothing was done, so a caller whose certificate has just changed may ask again
      request.stream.close(constants.NGHTTP2_REFUSED_STREAM);
      return session.close();
    }
    currentPeer.run(peer.name, () => (isGrpc(request) ? grpc : plain)(request, response));
  });
  server.on("session", (session) => {
    const peer = peerOf(session);
    if (!("refusal" in peer)) return;
    refused(peer.refusal);
    session.destroy();
  });
  server.on("tlsClientError", (error) => refused(error.message));
  server.on("sessionError", (error) => log("debug", "connection broke", { error: String(error) }));
  const open = await listening(server, port, hostname ?? "0.0.0.0");
  live.onChange(() => {
    server.setSecureContext(tlsOptions(live.current));
    for (const session of open.sessions) if ("refusal" in peerOf(session)) end(session);
  });
  return open;
}

/** Lets a connection finish what it has begun, but not for long. */
function end(session: ServerHttp2Session): void {
  session.close();
  const timer = setTimeout(() => session.destroy(), lastCallsMs);
  session.once("close", () => clearTimeout(timer));
}

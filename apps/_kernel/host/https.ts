import { createSecureServer } from "node:http2";
import type { Socket } from "node:net";
import type { ConnectRouter } from "@connectrpc/connect";
import type { EdgeCertificate } from "../mtls/edge";
import type { Live } from "../mtls/live";
import type { Fetch } from "./drain";
import { fetchHandler, httpTimes, type Listening, listening, rpcHandler } from "./http2";

const tlsOptions = ({ current: { cert, key } }: Live<EdgeCertificate>) => ({
  ...{ cert, key },
  minVersion: "TLSv1.2" as const,
});

/** Cuts off who does not say in time what he wants. */
function endSilent(socket: Socket, asked: WeakSet<Socket>): void {
  const timer = setTimeout(() => asked.has(socket) || socket.destroy(), httpTimes.firstHeadSeconds * 1000);
  socket.once("close", () => clearTimeout(timer));
}

/**
 * Serves HTTP/1.1 over TLS. Another certificate is used for connections from then on, open ones go on.
 *
 * Not by Bun.serve, which cannot change its certificate: a second one that takes over the port loses what waits to be
 * accepted when the first one ends.
 */
export async function serveHttps(
  fetch: Fetch,
  live: Live<EdgeCertificate>,
  port: number,
  hostname = "0.0.0.0",
): Promise<Listening> {
  const answer = fetchHandler(fetch);
  const [open, asked, busy] = [new Set<Socket>(), new WeakSet<Socket>(), new Set<Socket>()];
  // what follows a request without a host is not believed either
  const refused = new WeakSet<Socket>();
  let isStopping = false;
  const options = { ...tlsOptions(live), allowHTTP1: true, ALPNProtocols: ["http/1.1"] };
  const server = createSecureServer(options, (request, response) => {
    const { socket } = request;
    asked.add(socket);
    busy.add(socket);
    response.once("close", () => {
      busy.delete(socket);
      if (isStopping) socket.destroy();
    });
    if (request.headers.host !== undefined && !refused.has(socket)) return answer(request, response);
    refused.add(socket);
    response.statusCode = 400;
    response.setHeader("connection", "close");
    response.end(() => socket.destroy());
  });
  // before its handshake, too: who does not even begin one is as silent
  server.on("connection", (socket: Socket) => {
    open.add(socket);
    endSilent(socket, asked);
    socket.setTimeout(httpTimes.idleSeconds * 1000, () => socket.destroy());
    socket.once("close", () => open.delete(socket));
  });
  live.onChange(() => server.setSecureContext(tlsOptions(live)));
  const listens = await listening(server, port, hostname);
  return {
    ...listens,
    stop() {
      isStopping = true;
      for (const socket of open) if (!busy.has(socket)) socket.destroy();
      return listens.stop();
    },
  };
}

/** Serves HTTP/2 over TLS: gRPC with trailers, and everything else as on HTTP/1.1. */
export async function serveGrpcs(
  routes: (router: ConnectRouter) => void,
  fallback: Fetch,
  live: Live<EdgeCertificate>,
  port: number,
  hostname = "0.0.0.0",
): Promise<Listening> {
  const options = { ...tlsOptions(live), handshakeTimeout: httpTimes.firstHeadSeconds * 1000 };
  const server = createSecureServer(options, rpcHandler(routes, fetchHandler(fallback)));
  live.onChange(() => server.setSecureContext(tlsOptions(live)));
  return listening(server, port, hostname);
}

import { createSecureServer } from "node:http2";
import type { ConnectRouter } from "@connectrpc/connect";
import type { EdgeCertificate } from "../mtls/edge";
import type { Live } from "../mtls/live";
import { serveHttp } from "./bun";
import type { Fetch } from "./drain";
import { fetchHandler, type Listening, listening, rpcHandler } from "./http2";

/** What the gateway serves over TLS on a port. */
interface HttpsServer {
  readonly port: number;
  /** Takes no more connections; resolves when the last one has ended, at once when they are cut off. */
  stop(isCutOff?: boolean): Promise<void>;
}

/**
 * Serves HTTP/1.1 over TLS. Another certificate is used for connections from then on, open ones go on: since Bun.serve
 * cannot change its certificate, a second server takes over the port.
 */
export function serveHttps(
  fetch: Fetch,
  live: Live<EdgeCertificate>,
  port: number,
  hostname?: string,
): HttpsServer {
  const opened = (on: number) => {
    const { cert, key } = live.current;
    return serveHttp(fetch, on, hostname, { tls: { cert, key }, reusePort: true });
  };
  let server = opened(port);
  const own = server.port!;
  const stopping = new Set<Promise<void>>();
  live.onChange(() => {
    const former = server;
    server = opened(own);
    const end = former.stop().finally(() => stopping.delete(end));
    stopping.add(end);
  });
  return {
    port: own,
    async stop(isCutOff) {
      live.stop();
      await server.stop(isCutOff);
      if (!isCutOff) await Promise.all(stopping);
    },
  };
}

const tlsOptions = ({ current: { cert, key } }: Live<EdgeCertificate>) => ({
  ...{ cert, key },
  minVersion: "TLSv1.2" as const,
});

/** Serves HTTP/2 over TLS: gRPC with trailers, and everything else as on HTTP/1.1. */
export async function serveGrpcs(
  routes: (router: ConnectRouter) => void,
  fallback: Fetch,
  live: Live<EdgeCertificate>,
  port: number,
  hostname = "0.0.0.0",
): Promise<Listening> {
  const server = createSecureServer(tlsOptions(live), rpcHandler(routes, fetchHandler(fallback)));
  live.onChange(() => server.setSecureContext(tlsOptions(live)));
  return listening(server, port, hostname);
}

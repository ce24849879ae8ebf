import type {
  Http2SecureServer,
  Http2Server,
  Http2ServerRequest,
  Http2ServerResponse,
  ServerHttp2Session,
} from "node:http2";
import { type ConnectRouter, createContextValues } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { getRequestListener } from "@hono/node-server";
import { addressKey } from "../rpc/context";
import { jsonOptions } from "../rpc/server";
import type { Fetch } from "./drain";

/** Seconds that a connection of HTTP/1.1 may take: for its first head, which Bun.serve has built in, and in silence. */
export const httpTimes = { firstHeadSeconds: 10, idleSeconds: 65 };

/** Answers a request of HTTP/2. */
export type Http2Handler = (request: Http2ServerRequest, response: Http2ServerResponse) => void;

/** A port that is listened on. */
export interface Listening {
  readonly port: number;
  /** The connections that are open. */
  readonly sessions: ReadonlySet<ServerHttp2Session>;
  /** Tells each client to come no more; resolves when the last call on its connection has been answered. */
  stop(): Promise<void>;
}

/** HTTP/2 has no such header. */
async function withoutConnection(answer: Promise<Response>): Promise<Response> {
  const response = await answer;
  if (response.headers.has("connection")) response.headers.delete("connection");
  return response;
}

/** Requests of HTTP/2, or of HTTP/1.1 from a server that takes both, as a fetch answers them. */
export function fetchHandler(fetch: Fetch): Http2Handler {
  // Bun.serve refuses the Response that the listener would put in the place of the global one
  const listener = getRequestListener(
    (request, { incoming }) => {
      const answer = fetch(request, incoming.socket.remoteAddress);
      return incoming.httpVersionMajor === 2 ? withoutConnection(answer) : answer;
    },
    {
      overrideGlobalObjects: false,
    },
  );
  return listener as unknown as Http2Handler;
}

/** RPCs of Connect, gRPC and gRPC-Web with trailers; `fallback` answers everything else. */
export const rpcHandler = (routes: (router: ConnectRouter) => void, fallback: Http2Handler): Http2Handler =>
  connectNodeAdapter({
    routes,
    jsonOptions,
    fallback: fallback as never,
    contextValues: (request) => createContextValues().set(addressKey, request.socket.remoteAddress),
  });

/** Listens; rejects when the port is taken. */
export function listening(
  server: Http2Server | Http2SecureServer,
  port: number,
  hostname: string,
): Promise<Listening> {
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const session of sessions) session.close();
    });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, hostname, () => {
      const address = server.address();
      resolve({ port: typeof address === "object" && address ? address.port : port, sessions, stop });
    });
  });
}

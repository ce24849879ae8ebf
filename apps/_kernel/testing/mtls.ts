import type { ConnectRouter } from "@connectrpc/connect";
import { currentPeer } from "../identity/peer";
import { jsonLog } from "../log";
import { mtlsDial } from "../mtls/dial";
import type { LiveCredentials } from "../mtls/live";
import { serveMtls } from "../mtls/server";
import type { Outgoing } from "../registry/port";
import type { CallerName, ServiceName } from "../topology";
import { atEnd } from "./cleanup";
import { freePorts } from "./ports";

const now = () => new Date();

/** A server with mutual TLS that answers with what it was asked, and by whom. */
export async function echoServer(live: LiveCredentials, routes: (router: ConnectRouter) => void = () => {}) {
  const [port] = (await freePorts(1)) as [number];
  const callers: (CallerName | undefined)[] = [];
  const fetch = async (request: Request): Promise<Response> => {
    callers.push(currentPeer.getStore());
    const { pathname, searchParams } = new URL(request.url);
    const waitMs = Number(searchParams.get("wait") ?? 0);
    if (waitMs > 0) await Bun.sleep(waitMs);
    const bytes = (await request.arrayBuffer()).byteLength;
    if (pathname === "/empty") return new Response(null, { status: 204, headers: { connection: "close" } });
    if (pathname === "/large") return new Response(new Uint8Array(Number(searchParams.get("bytes"))));
    return Response.json({ method: request.method, pathname, bytes }, { status: 201 });
  };
  const log = jsonLog("test", "silent");
  const server = await serveMtls({ routes, fetch, live, clock: now, port, hostname: "127.0.0.1", log });
  atEnd(async () => {
    for (const session of server.sessions) session.destroy();
  });
  return { ...server, url: `https://127.0.0.1:${port}`, callers };
}

/** A way to send requests to a service at an address. */
export function caller(live: LiveCredentials, service: ServiceName, url: string) {
  const { dial, close } = mtlsDial(live, now);
  atEnd(async () => close());
  return (path = "/", more: Partial<Outgoing> = {}): Promise<Response> => {
    const signal = AbortSignal.timeout(30_000);
    return dial({ id: url, url }, { method: "GET", path, headers: new Headers(), signal, ...more }, service);
  };
}

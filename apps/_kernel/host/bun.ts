import { createServer, type ServerHttp2Session } from "node:http2";
import { type ConnectRouter, createContextValues } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { getRequestListener } from "@hono/node-server";
import type { MallApp, Resources } from "../app";
import type { EventBus } from "../bus/port";
import { rabbitmqBus } from "../bus/rabbitmq";
import { rabbitmqUrl } from "../bus/settings";
import { within } from "../concurrency";
import { openDb } from "../db/client";
import { type BaseEnv, baseEnv, type EnvSource, parseEnv } from "../env";
import { errorFields, jsonLog, type Log } from "../log";
import { fetchDial } from "../registry/dial";
import type { Registry } from "../registry/port";
import { keepPresent } from "../registry/presence";
import { remoteRegistry } from "../registry/remote";
import { discoveryOf, ownInstance } from "../registry/settings";
import { addressKey } from "../rpc/context";
import { limits } from "../rpc/limits";
import { jsonOptions } from "../rpc/server";
import { type ServiceName, services } from "../topology";
import { drainable, endGently, type Fetch } from "./drain";

/** The bus of a process where that takes more than fetch; opens no connection before it is used. */
export function hostBus(env: EnvSource): EventBus | undefined {
  const parsed = parseEnv(baseEnv, env);
  const url = rabbitmqUrl(parsed);
  const log = jsonLog("rabbitmq", parsed.LOG_LEVEL);
  return url ? rabbitmqBus({ url, log, backoffMs: parsed.EVENT_BACKOFF_MS }) : undefined;
}

/** What a process runs a service on, and how that ends. */
export interface BunResources extends Resources {
  /** Waits up to 10 s for what goes on after answers, then closes the bus and the connections. */
  close(): Promise<void>;
}

/** What a process of one service runs on: its own pool under its own role, the real clock, the bus of the process. */
export function bunResources(
  name: ServiceName,
  env: EnvSource,
  registry: Registry,
  bus?: EventBus,
): BunResources {
  const url = env[`${name.toUpperCase()}_DATABASE_URL`] ?? env.DATABASE_URL;
  if (!url)
    throw new Error(`The environment is not complete:\n  DATABASE_URL: must name a PostgreSQL database`);
  const db = openDb({ url, role: `mall_${name}`, applicationName: `mall-${name}` });
  const going = new Set<Promise<unknown>>();
  const drain = async () => {
    while (going.size > 0) await Promise.allSettled(going);
  };
  return {
    env,
    db,
    registry,
    clock: () => new Date(),
    bus,
    background(work) {
      going.add(work);
      const end = () => going.delete(work);
      work.then(end, end);
    },
    async close() {
      await within(10_000, "background work", drain()).catch(() => {});
      await bus?.close?.();
      await db.close();
    },
  };
}

/**
 * Serves HTTP/1.1: REST, Connect and gRPC-Web. Bun itself refuses heads above 16 KiB and requests that two servers would
 * end in different places, and closes a connection whose first head is not there after 10 s (`hostile.test.ts` of the
 * gateway).
 */
export function serveHttp(fetch: Fetch, port: number, hostname = "0.0.0.0") {
  return Bun.serve({
    port,
    hostname,
    fetch: (request, server) => fetch(request, server.requestIP(request)?.address),
    development: false,
    maxRequestBodySize: limits.importBytesMax,
    idleTimeout: 65,
  });
}

/** Serves HTTP/2 without TLS: gRPC with trailers, and everything else as on HTTP/1.1. */
export function serveGrpc(
  routes: (router: ConnectRouter) => void,
  fallback: Fetch,
  port: number,
  hostname = "0.0.0.0",
) {
  // Bun.serve refuses the Response that the listener would put in the place of the global one
  const listener = getRequestListener(
    (request, { incoming }) => fallback(request, incoming.socket.remoteAddress),
    { overrideGlobalObjects: false },
  );
  const handler = connectNodeAdapter({
    routes,
    jsonOptions,
    fallback: listener as never,
    contextValues: (request) => createContextValues().set(addressKey, request.socket.remoteAddress),
  });
  const server = createServer(handler);
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  /** Tells each client to come no more; resolves when the last call on its connection has been answered. */
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const session of sessions) session.close();
    });
  return new Promise<{ port: number; stop(): Promise<void> }>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, hostname, () => {
      const address = server.address();
      resolve({
        port: typeof address === "object" && address ? address.port : port,
        stop,
      });
    });
  });
}

/**
 * Does the duties of each app every `intervalMs`, none twice at once; one that takes long holds up no other. Returns a
 * function that stops it.
 */
export function startSweeps(apps: readonly MallApp[], intervalMs: number, log: Log): () => void {
  const running = new Set<() => Promise<unknown>>();
  const start = (app: MallApp, duty: () => Promise<unknown>) => {
    if (running.has(duty)) return;
    running.add(duty);
    duty()
      .catch((error) => log("error", "sweep failed", { app: app.name, ...errorFields(error) }))
      .finally(() => running.delete(duty));
  };
  const timer = setInterval(() => {
    for (const app of apps) for (const duty of app.duties) start(app, duty);
  }, intervalMs);
  return () => clearInterval(timer);
}

/** Runs `stop` once when the process is told to end, then exits; a second signal exits at once. */
export function onShutdown(stop: () => Promise<void>): void {
  let stopping = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(1);
      stopping = true;
      stop().then(
        () => process.exit(0),
        () => process.exit(1),
      );
    });
  }
}

/** Port of a process: PORT, else the service's own; GRPC_PORT, else 1000 more. */
export function portsOf(env: EnvSource, fallback: number): { port: number; grpcPort: number } {
  const port = Number(env.PORT ?? fallback);
  return { port, grpcPort: Number(env.GRPC_PORT ?? port + 1000) };
}

/** The registry of a process, as its environment says, and whether it knows where anybody is. */
export async function processRegistry(env: BaseEnv, source: EnvSource, log: Log) {
  const discovery = await discoveryOf(env, source, log);
  const registry = remoteRegistry({ discovery, dial: fetchDial, inFlightMax: env.CALLS_IN_FLIGHT_MAX });
  return { discovery, registry };
}

/** Whether a fetch answers that it is ready. */
const isReadyAt = async (fetch: Fetch): Promise<boolean> =>
  (await fetch(new Request("http://self/readyz"))).ok;

/**
 * Runs one service as its own process until it is told to stop. It is in the registry as long as it is ready, and
 * leaves it before it stops taking requests.
 */
export async function serveService(
  name: ServiceName,
  create: (resources: Resources) => MallApp,
): Promise<void> {
  const source: EnvSource = process.env;
  const env = parseEnv(baseEnv, source);
  const log = jsonLog(name, env.LOG_LEVEL);
  const { discovery, registry } = await processRegistry(env, source, log);
  const resources = bunResources(name, source, registry, hostBus(source));
  const app = create(resources);
  await app.start();
  const { port, grpcPort } = portsOf(source, services[name].port);
  const drain = drainable(app.fetch);
  const http = serveHttp(drain.fetch, port);
  const grpc = await serveGrpc(app.rpc.routes, drain.fetch, grpcPort);
  await app.listen();
  const stopSweeps = startSweeps([app], env.SWEEP_INTERVAL_MS, log);
  const instance = ownInstance(env, port);
  const isReady = () => isReadyAt(drain.fetch);
  const presence = keepPresent({ discovery, service: name, instance, isReady, log });
  log("info", "listening", { port, grpcPort, instance: instance.id });
  const close = async () => {
    stopSweeps();
    await resources.close();
    discovery.close();
  };
  const servers = [() => http.stop(), grpc.stop];
  onShutdown(() =>
    endGently({ drain, graceSeconds: env.DRAIN_SECONDS, leave: presence.leave, servers, close, log }),
  );
}

import { createServer } from "node:http2";
import type { ConnectRouter } from "@connectrpc/connect";
import type { MallApp, Resources } from "../app";
import type { EventBus } from "../bus/port";
import { rabbitmqBus } from "../bus/rabbitmq";
import { rabbitmqUrl } from "../bus/settings";
import { within } from "../concurrency";
import { openDb } from "../db/client";
import { type BaseEnv, baseEnv, type EnvSource, parseEnv } from "../env";
import { fault } from "../fault";
import { errorFields, jsonLog, type Log } from "../log";
import { labelled, type Metrics, type ProcessMetrics, processMetrics } from "../metrics";
import { mtlsDial } from "../mtls/dial";
import type { LiveCredentials } from "../mtls/live";
import { serveMtls } from "../mtls/server";
import { ownCredentials } from "../mtls/settings";
import { problemResponse } from "../problem";
import { fetchDial } from "../registry/dial";
import type { Registry } from "../registry/port";
import { keepPresent } from "../registry/presence";
import { remoteRegistry } from "../registry/remote";
import { discoveryOf, ownInstance } from "../registry/settings";
import { limits } from "../rpc/limits";
import { requestIdOf } from "../rpc/request-id";
import { type ServiceName, services } from "../topology";
import { drainable, endGently, type Fetch } from "./drain";
import { fetchHandler, httpTimes, type Listening, listening, rpcHandler } from "./http2";

/** The bus of a process where that takes more than fetch; opens no connection before it is used. */
export function hostBus(env: EnvSource): EventBus | undefined {
  const parsed = parseEnv(baseEnv, env);
  const url = rabbitmqUrl(parsed);
  const log = jsonLog("rabbitmq", parsed.LOG_LEVEL);
  return url ? rabbitmqBus({ url, log, backoffMs: parsed.EVENT_BACKOFF_MS }) : undefined;
}

/** What a process runs a service on, and how that ends. */
export interface BunResources extends Resources {
  /** Waits up to 10 s for what goes on after answers. */
  settle(): Promise<void>;
  /** Settles, then closes the bus and the connections. */
  close(): Promise<void>;
}

/** What a process of one service runs on: its own pool under its own role, the real clock, the bus of the process. */
export function bunResources(
  name: ServiceName,
  env: EnvSource,
  registry: Registry,
  bus?: EventBus,
  metrics?: Metrics,
): BunResources {
  const url = env[`${name.toUpperCase()}_DATABASE_URL`] ?? env.DATABASE_URL;
  if (!url)
    throw new Error(`The environment is not complete:\n  DATABASE_URL: must name a PostgreSQL database`);
  const db = openDb({ url, role: `mall_${name}`, applicationName: `mall-${name}` });
  const going = new Set<Promise<unknown>>();
  const drain = async () => {
    while (going.size > 0) await Promise.allSettled(going);
  };
  const settle = () => within(10_000, "background work", drain()).catch(() => {});
  return {
    env,
    db,
    registry,
    clock: () => new Date(),
    bus,
    metrics,
    background(work) {
      going.add(work);
      const end = () => going.delete(work);
      work.then(end, end);
    },
    settle,
    async close() {
      await settle();
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
export const serveHttp = (fetch: Fetch, port: number, hostname = "0.0.0.0") =>
  Bun.serve({
    port,
    hostname,
    fetch: (request, server) => fetch(request, server.requestIP(request)?.address),
    development: false,
    maxRequestBodySize: limits.importBytesMax,
    idleTimeout: httpTimes.idleSeconds,
  });

/** Serves HTTP/2 without TLS: gRPC with trailers, and everything else as on HTTP/1.1. */
export const serveGrpc = (
  routes: (router: ConnectRouter) => void,
  fallback: Fetch,
  port: number,
  hostname = "0.0.0.0",
): Promise<Listening> => listening(createServer(rpcHandler(routes, fetchHandler(fallback))), port, hostname);

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

/** Shows the metrics of the process on ADMIN_PORT, if it is set; nothing else is served there. */
export function serveMetrics({ ADMIN_PORT }: BaseEnv, metrics: ProcessMetrics): () => void {
  if (ADMIN_PORT === undefined) return () => {};
  const server = Bun.serve({
    port: ADMIN_PORT,
    hostname: "0.0.0.0",
    development: false,
    async fetch(request) {
      if (new URL(request.url).pathname !== "/metrics") return new Response("Not found\n", { status: 404 });
      return new Response(await metrics.text(), { headers: { "content-type": "text/plain; version=0.0.4" } });
    },
  });
  return () => void server.stop(true);
}

/** Port of a process: PORT, else the service's own; GRPC_PORT, else 1000 more. */
export function portsOf(env: EnvSource, fallback: number): { port: number; grpcPort: number } {
  const port = Number(env.PORT ?? fallback);
  return { port, grpcPort: Number(env.GRPC_PORT ?? port + 1000) };
}

/** How a process reaches the others: the registry that its environment says, over mutual TLS where it has credentials. */
export async function processRegistry(
  env: BaseEnv,
  source: EnvSource,
  log: Log,
  metrics: Metrics,
  live?: LiveCredentials,
) {
  const discovery = await discoveryOf(env, source, log);
  const mtls = live && mtlsDial(live, () => new Date());
  const dial = mtls?.dial ?? fetchDial;
  const registry = remoteRegistry({
    ...{ discovery, dial, inFlightMax: env.CALLS_IN_FLIGHT_MAX },
    onAttempt: (to, isRepetition) =>
      metrics.count("mall_attempts_total", { to, kind: isRepetition ? "repetition" : "first" }),
    onEject: (to) => metrics.count("mall_ejections_total", { to }),
  });
  const close = () => {
    discovery.close();
    mtls?.close();
    live?.stop();
  };
  return { discovery, registry, close };
}

/** What a port without TLS has for others when mutual TLS is on: whether this process lives and is ready. */
const probesOnly =
  (fetch: Fetch): Fetch =>
  async (request, address) => {
    if (["/livez", "/readyz"].includes(new URL(request.url).pathname)) return fetch(request, address);
    const detail = "This service is served with mutual TLS only, on its other port.";
    return problemResponse(fault("not_found", "ROUTE_NOT_FOUND", detail), requestIdOf(request.headers));
  };

/** The two ports of a service: HTTP/1.1 and gRPC, or probes and everything with mutual TLS. */
async function servePorts(app: MallApp, fetch: Fetch, source: EnvSource, log: Log, live?: LiveCredentials) {
  const { port, grpcPort } = portsOf(source, services[app.name].port);
  const { routes } = app.rpc;
  const http = serveHttp(live ? probesOnly(fetch) : fetch, port);
  const grpc = live
    ? await serveMtls({ routes, fetch, live, clock: () => new Date(), port: grpcPort, log })
    : await serveGrpc(routes, fetch, grpcPort);
  return { port, grpcPort, stops: [() => http.stop(), grpc.stop] };
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
  const live = ownCredentials(env, name, log);
  const metrics = processMetrics();
  const {
    discovery,
    registry,
    close: leaveNetwork,
  } = await processRegistry(env, source, log, labelled(metrics, { service: name }), live);
  const resources = bunResources(name, source, registry, hostBus(source), metrics);
  const app = create(resources);
  await app.start();
  const drain = drainable(app.fetch);
  const { port, grpcPort, stops } = await servePorts(app, drain.fetch, source, log, live);
  await app.listen();
  const stopMetrics = serveMetrics(env, metrics);
  const stopSweeps = startSweeps([app], env.SWEEP_INTERVAL_MS, log);
  const instance = ownInstance(env, live ? grpcPort : port);
  const isReady = () => isReadyAt(drain.fetch);
  const presence = keepPresent({ discovery, service: name, instance, isReady, log });
  log("info", "listening", { port, grpcPort, instance: instance.id });
  const close = async () => {
    stopSweeps();
    stopMetrics();
    await resources.close();
    leaveNetwork();
  };
  const { leave } = presence;
  onShutdown(() => endGently({ drain, graceSeconds: env.DRAIN_SECONDS, leave, servers: stops, close, log }));
}

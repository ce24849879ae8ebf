import { parseEnv } from "@mall/kernel/env";
import {
  onShutdown,
  portsOf,
  processRegistry,
  serveGrpc,
  serveHttp,
  serveMetrics,
} from "@mall/kernel/host/bun";
import { docsAsset } from "@mall/kernel/host/docs-assets";
import { drainable, endGently } from "@mall/kernel/host/drain";
import { serveGrpcs, serveHttps } from "@mall/kernel/host/https";
import { jsonLog } from "@mall/kernel/log";
import { labelled, processMetrics } from "@mall/kernel/metrics";
import { edgeCertificate } from "@mall/kernel/mtls/edge";
import { ownCredentials } from "@mall/kernel/mtls/settings";
import { gatewayPort } from "@mall/kernel/topology";
import { createBunGateway } from "./bun";
import { gatewayEnv } from "./env";

const env = parseEnv(gatewayEnv, process.env);
const log = jsonLog("gateway", env.LOG_LEVEL);
const metrics = processMetrics();
const live = ownCredentials(env, "gateway", log);
const { discovery, registry, close } = await processRegistry(
  env,
  process.env,
  log,
  labelled(metrics, { service: "gateway" }),
  live,
);
const ready = async () => {
  const isKnowing = discovery.isKnowing();
  return { ready: isKnowing, checks: { registry: isKnowing ? "ok" : "unavailable" } };
};
const gateway = createBunGateway({ env: process.env, registry, docsAsset, metrics, ready });
const { port, grpcPort } = portsOf(process.env, gatewayPort);
const drain = drainable(gateway.fetch);
const edge = edgeCertificate(env, log);
const http = edge ? await serveHttps(drain.fetch, edge, port) : serveHttp(drain.fetch, port);
const grpc = await (edge
  ? serveGrpcs(gateway.grpcRoutes, drain.fetch, edge, grpcPort)
  : serveGrpc(gateway.grpcRoutes, drain.fetch, grpcPort));
const stopMetrics = serveMetrics(env, metrics);
log("info", "listening", { port, grpcPort, tls: edge !== undefined });
onShutdown(() =>
  endGently({
    ...{ drain, log, graceSeconds: env.DRAIN_SECONDS },
    servers: [() => http.stop(), grpc.stop],
    async close() {
      stopMetrics();
      edge?.stop();
      close();
    },
  }),
);

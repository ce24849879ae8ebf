import { baseEnv, parseEnv } from "@mall/kernel/env";
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
import { jsonLog } from "@mall/kernel/log";
import { labelled, processMetrics } from "@mall/kernel/metrics";
import { ownCredentials } from "@mall/kernel/mtls/settings";
import { gatewayPort } from "@mall/kernel/topology";
import { createBunGateway } from "./bun";

const env = parseEnv(baseEnv, process.env);
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
const http = serveHttp(drain.fetch, port);
const grpc = await serveGrpc(gateway.grpcRoutes, drain.fetch, grpcPort);
const stopMetrics = serveMetrics(env, metrics);
log("info", "listening", { port, grpcPort });
onShutdown(() =>
  endGently({
    ...{ drain, log, graceSeconds: env.DRAIN_SECONDS },
    servers: [() => http.stop(), grpc.stop],
    async close() {
      stopMetrics();
      close();
    },
  }),
);

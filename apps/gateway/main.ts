import { baseEnv, parseEnv } from "@mall/kernel/env";
import { onShutdown, portsOf, processRegistry, serveGrpc, serveHttp } from "@mall/kernel/host/bun";
import { docsAsset } from "@mall/kernel/host/docs-assets";
import { drainable, endGently } from "@mall/kernel/host/drain";
import { jsonLog } from "@mall/kernel/log";
import { gatewayPort } from "@mall/kernel/topology";
import { createGateway } from "./service";

const env = parseEnv(baseEnv, process.env);
const log = jsonLog("gateway", env.LOG_LEVEL);
const { discovery, registry } = await processRegistry(env, process.env, log);
const ready = async () => {
  const isKnowing = discovery.isKnowing();
  return { ready: isKnowing, checks: { registry: isKnowing ? "ok" : "unavailable" } };
};
const gateway = createGateway({ env: process.env, registry, docsAsset, ready });
const { port, grpcPort } = portsOf(process.env, gatewayPort);
const drain = drainable(gateway.fetch);
const http = serveHttp(drain.fetch, port);
const grpc = await serveGrpc(gateway.grpcRoutes, drain.fetch, grpcPort);
log("info", "listening", { port, grpcPort });
onShutdown(() =>
  endGently({
    ...{ drain, log, graceSeconds: env.DRAIN_SECONDS },
    servers: [() => http.stop(), grpc.stop],
    close: async () => discovery.close(),
  }),
);

import { baseEnv, parseEnv } from "@mall/kernel/env";
import { onShutdown, portsOf, serveGrpc, serveHttp } from "@mall/kernel/host/bun";
import { docsAsset } from "@mall/kernel/host/docs-assets";
import { jsonLog } from "@mall/kernel/log";
import { staticRegistry } from "@mall/kernel/registry/http";
import { gatewayPort } from "@mall/kernel/topology";
import { createGateway } from "./service";

const { LOG_LEVEL } = parseEnv(baseEnv, process.env);
const registry = staticRegistry(process.env);
const gateway = createGateway({ env: process.env, registry, docsAsset });
const { port, grpcPort } = portsOf(process.env, gatewayPort);
const http = serveHttp(gateway.fetch, port);
const grpc = await serveGrpc(gateway.grpcRoutes, gateway.fetch, grpcPort);
jsonLog("gateway", LOG_LEVEL)("info", "listening", { port, grpcPort });
onShutdown(async () => {
  grpc.stop();
  await http.stop();
});

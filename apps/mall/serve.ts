import { baseEnv, type EnvSource, parseEnv } from "@mall/kernel/env";
import { portsOf, serveGrpc, serveHttp, startSweeps } from "@mall/kernel/host/bun";
import { jsonLog } from "@mall/kernel/log";
import { gatewayPort } from "@mall/kernel/topology";
import type { Mall } from "./mall";

/** Serves the whole mall on the gateway's two ports. Rejects with a sentence when the master key is not its data's. */
export async function serveMall(mall: Mall, env: EnvSource) {
  const { LOG_LEVEL, SWEEP_INTERVAL_MS } = parseEnv(baseEnv, env);
  const { port, grpcPort } = portsOf(env, gatewayPort);
  await Promise.all(mall.apps.map((app) => app.start()));
  const http = serveHttp(mall.gateway.fetch, port);
  const grpc = await serveGrpc(mall.gateway.grpcRoutes, mall.gateway.fetch, grpcPort);
  await Promise.all(mall.apps.map((app) => app.listen()));
  const stopSweeps = startSweeps(mall.apps, SWEEP_INTERVAL_MS, jsonLog("mall", LOG_LEVEL));
  return {
    port: http.port ?? port,
    grpcPort: grpc.port,
    async stop() {
      stopSweeps();
      grpc.stop();
      await http.stop();
      await mall.close();
    },
  };
}

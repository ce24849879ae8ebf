import { baseEnv, type EnvSource, incompleteEnv, parseEnv } from "@mall/kernel/env";
import { portsOf, serveGrpc, serveHttp, serveMetrics, startSweeps } from "@mall/kernel/host/bun";
import { drainable, endGently } from "@mall/kernel/host/drain";
import { jsonLog } from "@mall/kernel/log";
import { tlsFilesOf } from "@mall/kernel/mtls/settings";
import { gatewayPort } from "@mall/kernel/topology";
import type { Mall } from "./mall";

/**
 * Serves the whole mall on the gateway's two ports. Rejects with a sentence when the master key is not its data's, or when
 * it is told to use mutual TLS.
 */
export async function serveMall(mall: Mall, env: EnvSource) {
  const parsed = parseEnv(baseEnv, env);
  const { LOG_LEVEL, SWEEP_INTERVAL_MS, DRAIN_SECONDS } = parsed;
  if (tlsFilesOf(parsed))
    throw incompleteEnv(["TLS_CERT: one process has nobody to talk to; set SERVICE, or no TLS_*"]);
  const log = jsonLog("mall", LOG_LEVEL);
  const { port, grpcPort } = portsOf(env, gatewayPort);
  await Promise.all(mall.apps.map((app) => app.start()));
  const drain = drainable(mall.gateway.fetch);
  const http = serveHttp(drain.fetch, port);
  const grpc = await serveGrpc(mall.gateway.grpcRoutes, drain.fetch, grpcPort);
  await Promise.all(mall.apps.map((app) => app.listen()));
  const stopMetrics = serveMetrics(parsed, mall.metrics);
  const stopSweeps = startSweeps(mall.apps, SWEEP_INTERVAL_MS, log);
  return {
    port: http.port ?? port,
    grpcPort: grpc.port,
    stop: () =>
      endGently({
        ...{ drain, log, graceSeconds: DRAIN_SECONDS },
        servers: [() => http.stop(), grpc.stop],
        async close() {
          stopSweeps();
          stopMetrics();
          await mall.close();
        },
      }),
  };
}

import { atEnd } from "@mall/kernel/testing/cleanup";
import type { ServiceName } from "@mall/kernel/topology";
import { host, spawn } from "./host";
import type { Ports } from "./network";

/** One more process of a service of the mall under test, which finds auth at an address of its own. */
export async function another(service: ServiceName, { port, grpcPort }: Ports, authUrl: string) {
  const { databaseUrl, network } = await host();
  const child = spawn(["bun", "apps/mall/start.ts"], {
    ...{ SERVICE: service, DATABASE_URL: databaseUrl, AUTH_URL: authUrl, ...network!.envOf(service) },
    ...{ PORT: String(port), GRPC_PORT: String(grpcPort), LOG_LEVEL: "silent" },
  });
  atEnd(async () => void (await child.kill()));
  const url = `http://127.0.0.1:${port}`;
  for (const until = Date.now() + 30_000; Date.now() < until; await Bun.sleep(50)) {
    const isReady = await fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isReady) return child;
  }
  throw new Error(`another ${service} was not ready within 30 s`);
}

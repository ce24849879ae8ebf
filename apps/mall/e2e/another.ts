import { atEnd } from "@mall/kernel/testing/cleanup";
import { freePorts } from "@mall/kernel/testing/ports";
import type { ServiceName } from "@mall/kernel/topology";
import { host, spawn } from "./host";

/** One more process of a service of the mall under test, which finds auth at an address of its own. */
export async function another(service: ServiceName, port: number, authUrl: string) {
  const { databaseUrl } = await host();
  const [grpcPort] = (await freePorts(1)) as [number];
  const child = spawn(["bun", "apps/mall/start.ts"], {
    ...{ SERVICE: service, DATABASE_URL: databaseUrl, AUTH_URL: authUrl },
    ...{ PORT: String(port), GRPC_PORT: String(grpcPort), LOG_LEVEL: "silent" },
  });
  atEnd(async () => void (await child.kill()));
  const url = `http://127.0.0.1:${port}`;
  for (const until = Date.now() + 30_000; Date.now() < until; await Bun.sleep(50)) {
    const isReady = await fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isReady) return { url, ...child };
  }
  throw new Error(`another ${service} was not ready within 30 s`);
}

import { mkdirSync, mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrate } from "@mall/kernel/db/migrate";
import { type ServiceName, serviceNames } from "@mall/kernel/topology";
import postgres from "postgres";
import { type CrashablePostgres, startPostgres } from "./database";
import { stablePorts } from "./ports";
import { type SupervisedProcess, supervise } from "./process";
import { type Provider, type ProviderName, providers } from "./provider";
import { openTap, type Tap } from "./tap";

export type NodeService = ServiceName | "gateway";

/** A process of the cluster. */
export interface Node extends SupervisedProcess {
  readonly service: NodeService;
}

/** A mall of many processes on a real PostgreSQL, every one of which can be killed. */
export interface Cluster {
  readonly nodes: readonly Node[];
  nodesOf(service: NodeService): readonly Node[];
  /** Origins of the gateways. */
  readonly gateways: readonly string[];
  /** In front of every process of a service: all calls between processes pass it. */
  readonly tap: Tap;
  readonly postgres: CrashablePostgres;
  /** As the database's owner; for looking, and for what only an operator may do. */
  readonly sql: postgres.Sql;
  readonly provider: Provider;
  /** The environment that its processes share. */
  readonly env: Readonly<Record<string, string>>;
  readonly logFolder: string;
  /** Resolves when every process answers and is ready. */
  ready(): Promise<void>;
  /** kill -9 of all processes of a service at once; they come again by themselves. */
  kill(service: NodeService, downMs?: number): Promise<void>;
  /** All processes again with another environment on top of the cluster's own; with `fresh`, on an empty database. */
  restart(env: Record<string, string>, fresh?: boolean): Promise<void>;
  stop(): Promise<void>;
}

export interface ClusterOptions {
  /** Processes of each service. */
  copies: number;
  provider: ProviderName;
}

const ready = (url: string): Promise<boolean> =>
  fetch(`${url}/readyz`, { signal: AbortSignal.timeout(5_000) }).then(
    (response) => response.ok,
    () => false,
  );

/** What all processes share. */
function commonEnv(): Record<string, string> {
  const inherited = Object.fromEntries(
    ["PATH", "HOME", "TMPDIR"].flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
  return { ...inherited, MALL_ENV: "test", LOG_LEVEL: "warn" };
}

/** Starts everything. Ends what it started when that fails. */
export async function startCluster({ copies, provider: providerName }: ClusterOptions): Promise<Cluster> {
  const logFolder = mkdtempSync(join(tmpdir(), "mall-prove-logs-"));
  mkdirSync(logFolder, { recursive: true });
  const database = await startPostgres();
  const provider = await providers[providerName]();
  const tap = openTap();
  await migrate(database.url, serviceNames);
  const sql = postgres(database.url, { max: 4, onnotice: () => {} });
  let env = { ...commonEnv(), DATABASE_URL: database.url, ...provider.env };
  const own = env;

  const plan = [...serviceNames, "gateway" as const].flatMap((service) =>
    Array.from({ length: copies }, (_, copy) => ({ service, name: `${service}-${copy + 1}` })),
  );
  const ports = await stablePorts(plan.length * 3);
  const doors = plan.map(({ service }, i) => tap.door(service, ports[3 * i + 2]!, ports[3 * i]!));
  const urls = Object.fromEntries(
    serviceNames.map((service) => [
      `${service.toUpperCase()}_URL`,
      doors
        .filter((_, i) => plan[i]!.service === service)
        .map(({ url }) => url)
        .join(","),
    ]),
  );
  const envOf = (i: number) => {
    const { service } = plan[i]!;
    return { ...env, ...urls, SERVICE: service, PORT: `${ports[3 * i]}`, GRPC_PORT: `${ports[3 * i + 1]}` };
  };
  const nodes: Node[] = plan.map(({ service, name }, i) => {
    const node = supervise({
      name,
      env: envOf(i),
      port: ports[3 * i]!,
      logFolder,
      onDown: () => doors[i]!.close(),
      onUp: () => doors[i]!.open(),
    });
    return Object.assign(node, { service });
  });
  const nodesOf = (service: NodeService) => nodes.filter((node) => node.service === service);
  const cluster: Cluster = {
    ...{ nodes, nodesOf, tap, postgres: database, sql, provider, logFolder },
    gateways: nodesOf("gateway").map(({ url }) => url),
    get env() {
      return env;
    },
    async ready() {
      await Promise.all(nodes.map((node) => node.ready()));
      for (const { url } of nodes) while (!(await ready(url))) await Bun.sleep(20);
    },
    async kill(service, downMs) {
      await Promise.all(nodesOf(service).map((node) => node.kill(downMs)));
    },
    async restart(changed, fresh = false) {
      await Promise.all(nodes.map((node) => node.stop()));
      if (fresh) {
        await database.renew();
        await migrate(database.url, serviceNames);
        await provider.reset();
      }
      env = { ...own, ...changed };
      for (const [i, node] of nodes.entries()) node.start(envOf(i));
      await cluster.ready();
    },
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()));
      tap.stop();
      await sql.end({ timeout: 1 });
      await provider.stop();
      await database.stop();
    },
  };
  await provider.open(cluster.gateways[0]!);
  return cluster;
}

/** Deletes the logs of a run that needs no explanation. */
export const forgetLogs = (cluster: Cluster): Promise<void> =>
  rm(cluster.logFolder, { recursive: true, force: true });

import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrate } from "@mall/kernel/db/migrate";
import { startRedis, type TestRedis } from "@mall/kernel/testing/redis";
import { type ServiceName, serviceNames } from "@mall/kernel/topology";
import postgres from "postgres";
import { stablePorts } from "../cluster/ports";
import { type SupervisedProcess, supervise } from "../cluster/process";
import { type CrashablePostgres, startPostgres } from "./database";
import { type Provider, type ProviderName, providers } from "./provider";
import { type Door, openTap, type Tap } from "./tap";

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
  /** How processes find each other: by a list of addresses, or in a Redis of the cluster's own. */
  registry: "static" | "redis";
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

interface Place {
  service: NodeService;
  name: string;
  port: number;
  grpcPort: number;
  door: Door;
}

/** Where each process listens, and its door. */
async function placesFor(copies: number, tap: Tap): Promise<Place[]> {
  const plan = [...serviceNames, "gateway" as const].flatMap((service) =>
    Array.from({ length: copies }, (_, copy) => ({ service, name: `${service}-${copy + 1}` })),
  );
  const ports = await stablePorts(plan.length * 3);
  return plan.map(({ service, name }, i) => {
    const [port, grpcPort, doorPort] = ports.slice(3 * i, 3 * i + 3) as [number, number, number];
    return { service, name, port, grpcPort, door: tap.door(service, doorPort, port) };
  });
}

/** `<SVC>_URL` of every service: the doors of its processes. */
const addressesOf = (places: readonly Place[]): Record<string, string> =>
  Object.fromEntries(
    serviceNames.map((service) => [
      `${service.toUpperCase()}_URL`,
      places
        .filter((place) => place.service === service)
        .map(({ door }) => door.url)
        .join(","),
    ]),
  );

/** Supervised processes at their places. `envOf` is asked at each start. */
function nodesAt(
  places: readonly Place[],
  envOf: (place: Place) => Record<string, string>,
  logFolder: string,
) {
  return places.map((place): Node => {
    const { name, port, door, service } = place;
    const onUp = () => door.open();
    return Object.assign(
      supervise({ name, port, logFolder, env: envOf(place), onUp, onDown: () => door.close() }),
      { service },
    );
  });
}

/** What a cluster stands on; ended in the opposite order of its start. */
interface Ground {
  database: CrashablePostgres;
  provider: Provider;
  tap: Tap;
  sql: postgres.Sql;
  redis?: TestRedis;
}

/** Throws Error where a Redis is wanted and there is none. */
async function wantedRedis({ registry }: ClusterOptions): Promise<TestRedis | undefined> {
  if (registry === "static") return undefined;
  const redis = await startRedis();
  if (!redis) throw new Error("redis-server is not installed: infra/install-debian.sh");
  return redis;
}

async function layGround(options: ClusterOptions, ends: (() => Promise<void>)[]): Promise<Ground> {
  const redis = await wantedRedis(options);
  ends.push(async () => redis?.stop());
  const database = await startPostgres();
  ends.push(() => database.stop());
  const provider = await providers[options.provider]();
  ends.push(() => provider.stop());
  await migrate(database.url, serviceNames);
  const sql = postgres(database.url, { max: 4, onnotice: () => {} });
  ends.push(() => sql.end({ timeout: 1 }));
  const tap = openTap();
  ends.push(async () => tap.stop());
  return { database, provider, tap, sql, redis };
}

function clusterOn(
  ground: Ground,
  places: readonly Place[],
  ends: readonly (() => Promise<void>)[],
): Cluster {
  const { database, provider, tap, sql, redis } = ground;
  const logFolder = mkdtempSync(join(tmpdir(), "mall-prove-logs-"));
  const own = { ...commonEnv(), DATABASE_URL: database.url, ...provider.env };
  const discovery = redis ? { REGISTRY: "redis", REDIS_URL: redis.url } : addressesOf(places);
  let env: Record<string, string> = own;
  const envOf = ({ service, port, grpcPort, door }: Place) => ({
    ...{ ...env, ...discovery, ADVERTISED_URL: door.url },
    ...{ SERVICE: service, PORT: String(port), GRPC_PORT: String(grpcPort) },
  });
  const nodes = nodesAt(places, envOf, logFolder);
  const nodesOf = (service: NodeService) => nodes.filter((node) => node.service === service);
  const stopNodes = () => Promise.all(nodes.map((node) => node.stop()));
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
      await stopNodes();
      if (fresh) {
        await database.renew();
        await migrate(database.url, serviceNames);
        await provider.reset();
      }
      env = { ...own, ...changed };
      for (const [i, node] of nodes.entries()) node.start(envOf(places[i]!));
      await cluster.ready();
    },
    async stop() {
      for (const end of ends.toReversed()) await end();
    },
  };
  return cluster;
}

/** Starts everything. Ends what it started when that fails. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const ends: (() => Promise<void>)[] = [];
  try {
    const ground = await layGround(options, ends);
    const cluster = clusterOn(ground, await placesFor(options.copies, ground.tap), ends);
    ends.push(async () => void (await Promise.all(cluster.nodes.map((node) => node.stop()))));
    await ground.provider.open(cluster.gateways[0]!);
    await cluster.ready();
    return cluster;
  } catch (error) {
    for (const end of ends.toReversed()) await end();
    throw error;
  }
}

/** Deletes the logs of a run that needs no explanation. */
export const forgetLogs = (cluster: Cluster): Promise<void> =>
  rm(cluster.logFolder, { recursive: true, force: true });

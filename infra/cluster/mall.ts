import { type ServiceName, serviceNames } from "@mall/kernel/topology";
import type { CertificateFolder } from "@mall/mall/certificate-folder";
import { stablePorts } from "./ports";
import { type SupervisedProcess, supervise } from "./process";

export type NodeService = ServiceName | "gateway";

/** A process of the mall. */
export interface Node extends SupervisedProcess {
  readonly service: NodeService;
}

/** A mall of several processes a service, which find each other by a registry. */
export interface ClusterMall {
  readonly nodes: readonly Node[];
  nodesOf(service: NodeService): readonly Node[];
  /** Origins of the gateways. */
  readonly gateways: readonly string[];
  /** Resolves when every process is ready. */
  ready(): Promise<void>;
  /** Ends all processes, the gateways first, none with a request unanswered. */
  drain(): Promise<void>;
}

export interface ClusterOptions {
  /** Processes of each service. */
  copies: number;
  /** What all processes share; DATABASE_URL at least. Of ADMIN_PORT, the first takes it and each further one 1 more. */
  env: Record<string, string>;
  /** With it processes find each other in this Redis, without it by a list of addresses. */
  redisUrl?: string;
  /** Ports of the first gateway, 1 more for each further one; free ports when absent. */
  gatewayPorts?: { port: number; grpcPort: number };
  logFolder: string;
  /** With them processes talk by mutual TLS. */
  certificates?: CertificateFolder;
  /** Address at which others reach a process without TLS; its own when absent. */
  addressOf?(service: NodeService, port: number): string;
}

interface Place {
  service: NodeService;
  name: string;
  port: number;
  grpcPort: number;
  address: string;
}

async function placesFor({
  copies,
  gatewayPorts,
  certificates,
  addressOf,
}: ClusterOptions): Promise<Place[]> {
  const plan = [...serviceNames, "gateway" as const].flatMap((service) =>
    Array.from({ length: copies }, (_, copy) => ({ service, copy, name: `${service}-${copy + 1}` })),
  );
  const ports = await stablePorts(plan.length * 2);
  return plan.map(({ service, copy, name }, i) => {
    const fixed = service === "gateway" ? gatewayPorts : undefined;
    const port = fixed ? fixed.port + copy : ports[2 * i]!;
    const grpcPort = fixed ? fixed.grpcPort + copy : ports[2 * i + 1]!;
    const plain = addressOf?.(service, port) ?? `http://127.0.0.1:${port}`;
    const address = certificates ? `https://127.0.0.1:${grpcPort}` : plain;
    return { service, name, port, grpcPort, address };
  });
}

/** How processes find each other, as their environment says it. */
function registryEnv(places: readonly Place[], redisUrl: string | undefined): Record<string, string> {
  if (redisUrl) return { REGISTRY: "redis", REDIS_URL: redisUrl };
  const addresses = serviceNames.map((service) => [
    `${service.toUpperCase()}_URL`,
    places
      .filter((place) => place.service === service)
      .map(({ address }) => address)
      .join(","),
  ]);
  return { REGISTRY: "static", ...Object.fromEntries(addresses) };
}

const isReady = (url: string): Promise<boolean> =>
  fetch(`${url}/readyz`, { signal: AbortSignal.timeout(5_000), keepalive: false }).then(
    ({ ok }) => ok,
    () => false,
  );

/** Resolves when a process is ready. */
export async function untilReady(node: SupervisedProcess): Promise<void> {
  await node.ready();
  while (!(await isReady(node.url))) await Bun.sleep(50);
}

/** Starts all processes; each is started again when it ends by itself. */
export async function startClusterMall(options: ClusterOptions): Promise<ClusterMall> {
  const places = await placesFor(options);
  const shared = {
    // many requests wait at once, and Bun would let the later ones wait for the earlier ones
    BUN_CONFIG_MAX_HTTP_REQUESTS: "2048",
    ...options.env,
    ...registryEnv(places, options.redisUrl),
  };
  const adminPort = options.env.ADMIN_PORT;
  const nodes = places.map(({ service, name, port, grpcPort, address }, i): Node => {
    const env = {
      ...shared,
      ...options.certificates?.files(service),
      ...{ SERVICE: service, PORT: String(port), GRPC_PORT: String(grpcPort), ADVERTISED_URL: address },
      ...(adminPort ? { ADMIN_PORT: String(Number(adminPort) + i) } : {}),
    };
    const { logFolder } = options;
    const node = supervise({ name, port, logFolder, env, onUp: async () => {}, onDown: () => {} });
    return Object.assign(node, { service });
  });
  const nodesOf = (service: NodeService) => nodes.filter((node) => node.service === service);
  const services = nodes.filter(({ service }) => service !== "gateway");
  return {
    ...{ nodes, nodesOf },
    gateways: nodesOf("gateway").map(({ url }) => url),
    ready: async () => void (await Promise.all(nodes.map(untilReady))),
    async drain() {
      await Promise.all(nodesOf("gateway").map((node) => node.drain()));
      await Promise.all(services.map((node) => node.drain()));
    },
  };
}

import { atEnd } from "@mall/kernel/testing/cleanup";
import { testDatabase } from "@mall/kernel/testing/database";
import { type MailSink, mailSink } from "@mall/kernel/testing/mail-sink";
import { freePorts } from "@mall/kernel/testing/ports";
import { rabbitmqForTests } from "@mall/kernel/testing/rabbitmq";
import { startTestRedisRest } from "@mall/kernel/testing/redis-rest";
import { type ServiceName, serviceNames } from "@mall/kernel/topology";
import { buildMall } from "../mall";
import { seedDemo } from "../seed";
import { type Network, newNetwork, type Ports } from "./network";

/** A running mall as its clients see it. */
export interface Host {
  /** Origin of the gateway. */
  url: string;
  /** host:port of gRPC, where the host has it. */
  grpc?: string;
  /** Origin of each service, where these have addresses of their own, and how they are reached there. */
  services?: Readonly<Record<ServiceName, string>>;
  network?: Network;
  ports?: Readonly<Record<ServiceName, Ports>>;
  /** Where its mails go. */
  mails: MailSink;
  /** The environment that its processes have for the bus. */
  bus: Env;
  /** Origin of the payment provider's simulator, where MALL_PAYMENTS=stripe started one. */
  simulator?: string;
  /** The database it runs on; for what only an operator may do. */
  databaseUrl: string;
}

const root = new URL("../../..", import.meta.url).pathname;

/** Starts a process of the repository with the suite's environment. */
export function spawn(command: string[], env: Record<string, string>) {
  const child = Bun.spawn(command, {
    cwd: root,
    env: { ...process.env, MALL_ENV: "test", LOG_LEVEL: "error", DRAIN_SECONDS: "0", ...env },
    stdout: "inherit",
    stderr: "inherit",
  });
  return {
    exited: child.exited,
    /** Ends it as a crash would. */
    kill() {
      child.kill("SIGKILL");
      return child.exited;
    },
    async stop() {
      child.kill("SIGTERM");
      const killed = await Promise.race([child.exited, Bun.sleep(15_000).then(() => "late")]);
      if (killed === "late") child.kill("SIGKILL");
    },
  };
}

type Child = ReturnType<typeof spawn>;

/** Waits until there is a good answer at an address. */
async function untilReady(address: string, children: Child[], timeoutMs: number): Promise<void> {
  let exited = false;
  for (const child of children) child.exited.then(() => (exited = true));
  for (const until = Date.now() + timeoutMs; Date.now() < until; await Bun.sleep(50)) {
    if (exited) throw new Error("a process of the mall ended before it was ready");
    const ok = await fetch(address).then(
      (response) => response.ok,
      () => false,
    );
    if (ok) return;
  }
  throw new Error(`${address} was not ready within ${timeoutMs} ms`);
}

type Env = Record<string, string>;
/** What a host is made of beside its mails. */
type Started = { host: Omit<Host, "mails" | "bus" | "simulator">; children: Child[] };

/** A stand-in for QStash in a process of its own, as Upstash's is. */
async function qstash(): Promise<{ env: Env; children: Child[] }> {
  const [port] = (await freePorts(1)) as [number];
  const secrets = {
    QSTASH_TOKEN: "e2e-token",
    QSTASH_CURRENT_SIGNING_KEY: "sig_e2e_current",
    QSTASH_NEXT_SIGNING_KEY: "sig_e2e_next",
  };
  const child = spawn(["bun", "infra/qstash/main.ts"], { ...secrets, PORT: String(port) });
  return { env: { ...secrets, BUS: "qstash", QSTASH_URL: `http://127.0.0.1:${port}` }, children: [child] };
}

async function rabbitmq(): Promise<{ env: Env; children: Child[] }> {
  const url = await rabbitmqForTests();
  if (!url) throw new Error("RabbitMQ is not installed; infra/install-debian.sh installs it");
  return { env: { BUS: "rabbitmq", RABBITMQ_URL: url }, children: [] };
}

const buses = { local: async () => ({ env: {} as Env, children: [] as Child[] }), qstash, rabbitmq };

/** What carries events in the suite. */
export const busKind = (process.env.MALL_BUS ?? "local") as keyof typeof buses;

async function oneProcess(databaseUrl: string, bus: Env): Promise<Started> {
  const [port, grpcPort] = (await freePorts(2)) as [number, number];
  const PUBLIC_URL = `http://127.0.0.1:${port}`;
  const env = {
    ...bus,
    PUBLIC_URL,
    DATABASE_URL: databaseUrl,
    PORT: String(port),
    GRPC_PORT: String(grpcPort),
  };
  const child = spawn(["bun", "apps/mall/start.ts"], env);
  return {
    host: { url: `http://127.0.0.1:${port}`, grpc: `127.0.0.1:${grpcPort}`, databaseUrl },
    children: [child],
  };
}

async function manyProcesses(databaseUrl: string, bus: Env): Promise<Started> {
  const names: (ServiceName | "gateway")[] = [...serviceNames, "gateway"];
  const network = await newNetwork();
  const ports = await freePorts(names.length * 2);
  const portsOf = (name: ServiceName | "gateway") => ({
    port: ports[names.indexOf(name)]!,
    grpcPort: ports[names.length + names.indexOf(name)]!,
  });
  const each = <T>(of: (name: ServiceName) => T) =>
    Object.fromEntries(serviceNames.map((name) => [name, of(name)])) as Record<ServiceName, T>;
  const services = each((name) => network.originOf(portsOf(name)));
  const urls = Object.fromEntries(serviceNames.map((name) => [`${name.toUpperCase()}_URL`, services[name]]));
  const gateway = portsOf("gateway");
  const url = `http://127.0.0.1:${gateway.port}`;
  const children = names.map((name) =>
    spawn(["bun", "apps/mall/start.ts"], {
      ...{
        ...urls,
        ...bus,
        ...network.envOf(name),
        PUBLIC_URL: url,
        SERVICE: name,
        DATABASE_URL: databaseUrl,
      },
      PORT: String(portsOf(name).port),
      GRPC_PORT: String(portsOf(name).grpcPort),
    }),
  );
  const grpc = `127.0.0.1:${gateway.grpcPort}`;
  return { host: { url, grpc, services, network, ports: each(portsOf), databaseUrl }, children };
}

async function edge(databaseUrl: string, bus: Env): Promise<Started> {
  const [port] = (await freePorts(1)) as [number];
  const url = `http://127.0.0.1:${port}`;
  const env = { ...bus, PUBLIC_URL: url, DATABASE_URL: databaseUrl, PORT: String(port) };
  const child = spawn(["bun", "infra/edge.ts"], env);
  return { host: { url, databaseUrl }, children: [child] };
}

const kinds = { one: oneProcess, many: manyProcesses, edge };

/** Which host the suite runs on: one process, a process a service, or workerd. */
export const hostKind = (process.env.MALL_HOST ?? "one") as keyof typeof kinds;

/** With MALL_REDIS=1 the mall has a Redis, and keeps in it what it can. */
async function sharedStore(): Promise<{ env: Env; stop(): Promise<void> }> {
  if (process.env.MALL_REDIS !== "1") return { env: {}, stop: async () => {} };
  const redis = await startTestRedisRest();
  if (!redis) throw new Error("redis-server is not installed; infra/install-debian.sh installs it");
  return { ...redis, env: { ...redis.env, OFFER_CACHE_MS: "60000", CONFIG_STORE: "redis" } };
}

/** What takes the money: the fake provider, or Stripe's client before a simulator of Stripe. */
export const paymentKind = process.env.MALL_PAYMENTS ?? "fake";

/** The simulator, and orders that do not wait long for their payment. */
async function payments(): Promise<{ url?: string; env: Env; stop(): Promise<void> }> {
  if (paymentKind !== "stripe") return { env: {}, stop: async () => {} };
  const [port] = (await freePorts(1)) as [number];
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(["bun", "infra/payment-simulator/main.ts"], { PORT: String(port) });
  const env = {
    ...{ PAYMENT_PROVIDER: "stripe", STRIPE_API_BASE: url, UNPAID_ORDER_TTL_SECONDS: "3" },
    ...{ STRIPE_SECRET_KEY: "sk_test_behaviour_suite", STRIPE_WEBHOOK_SECRET: "whsec_behaviour_suite" },
  };
  return { url, env, stop: child.stop };
}

async function start(): Promise<Host> {
  const database = await testDatabase();
  const mall = buildMall({ MALL_ENV: "test", LOG_LEVEL: "error", DATABASE_URL: database.url });
  await seedDemo(mall);
  await mall.close();
  const bus = await buses[busKind]();
  const store = await sharedStore();
  const provider = await payments();
  const mails = mailSink();
  const { host, children } = await kinds[hostKind](database.url, {
    ...{ ...bus.env, ...store.env, ...provider.env, ...mails.env },
  });
  atEnd(async () => {
    await Promise.all(children.map((child) => child.stop()));
    await Promise.all(bus.children.map((child) => child.stop()));
    await store.stop();
    await provider.stop();
    await mails.stop();
    await database.drop();
  });
  // a purchase needs services that no page needs, and is refused at once while they are away
  const probes = Object.values(host.ports ?? {}).map(({ port }) => `http://127.0.0.1:${port}/readyz`);
  for (const address of [...probes, `${host.url}/v1/products?pageSize=1`])
    await untilReady(address, children, 90_000);
  return { ...host, mails, bus: bus.env, simulator: provider.url };
}

let running: Promise<Host> | undefined;

/** The mall all suites of this test process share; ended after the last test. */
export function host(): Promise<Host> {
  running ??= start();
  return running;
}

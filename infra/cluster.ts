import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { migrate } from "@mall/kernel/db/migrate";
import { onShutdown } from "@mall/kernel/host/bun";
import { startRedis } from "@mall/kernel/testing/redis";
import { gatewayPort, serviceNames } from "@mall/kernel/topology";
import { hostDatabase } from "@mall/mall/database";
import { buildMall } from "@mall/mall/mall";
import { seedDemo } from "@mall/mall/seed";
import { clusterCertificates, keepRenewed } from "./cluster/certificates";
import { startClusterMall } from "./cluster/mall";
import { type ProviderName, providers } from "./prove/provider";

const usage = `usage: bun run cluster [--copies <number>] [--provider fake|stripe]
  --copies     processes of each service, 2 when absent
  --provider   stripe is Stripe's library on the payment simulator; fake, which moves no money, when absent`;

function readOptions() {
  const { values } = parseArgs({
    options: {
      copies: { type: "string", default: "2" },
      provider: { type: "string", default: "fake" },
    },
  });
  const copies = Number(values.copies);
  const isKnown = Object.hasOwn(providers, values.provider);
  if (!Number.isInteger(copies) || copies < 1 || copies > 8 || !isKnown) throw new TypeError(usage);
  return { copies, provider: values.provider as ProviderName };
}

/** REDIS_URL, else Debian's server in memory, else none: then the addresses are listed. */
async function registryServer(): Promise<{ url?: string; says: string; stop(): Promise<void> }> {
  const given = process.env.REDIS_URL;
  if (given) return { url: given, says: "REDIS_URL", stop: async () => {} };
  const own = await startRedis();
  if (own) return { url: own.url, says: own.url, stop: own.stop };
  return { says: "static: redis-server is not installed", stop: async () => {} };
}

/** Everything of this machine's environment that is a text. */
const inherited = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );

async function main(): Promise<void> {
  const options = readOptions();
  const ends: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const end of ends.toReversed()) await end();
  };
  try {
    const database = await hostDatabase(process.env, (line) => console.log(line));
    ends.push(database.stop);
    const redis = await registryServer();
    ends.push(redis.stop);
    const provider = await providers[options.provider]();
    ends.push(provider.stop);
    const port = Number(process.env.PORT ?? gatewayPort);
    const grpcPort = Number(process.env.GRPC_PORT ?? port + 1000);
    const env = {
      ...{ MALL_ENV: "dev", LOG_LEVEL: "info", DRAIN_SECONDS: "1", ...provider.env },
      ...{ ...inherited(), DATABASE_URL: database.url, PUBLIC_URL: `http://localhost:${port}` },
    };
    await migrate(database.url, serviceNames);
    const seeding = buildMall(env);
    await seedDemo(seeding).finally(seeding.close);
    const logFolder = resolve(process.env.MALL_DATA_DIR ?? ".mall", "logs");
    mkdirSync(logFolder, { recursive: true });
    const certificates = await clusterCertificates(resolve(process.env.MALL_DATA_DIR ?? ".mall", "certs"));
    const stopRenewing = keepRenewed(certificates);
    ends.push(async () => stopRenewing());
    const gatewayPorts = { port, grpcPort };
    const mall = await startClusterMall({
      ...{ copies: options.copies, env, redisUrl: redis.url, gatewayPorts, certificates, logFolder },
    });
    ends.push(mall.drain);
    await provider.open(mall.gateways[0]!);
    await mall.ready();
    const first = Number(process.env.ADMIN_PORT);
    const metrics = first
      ? `http://localhost:${first}/metrics to ${first + mall.nodes.length - 1}`
      : "no ADMIN_PORT";
    console.log(`
EdgeMall is ready: ${options.copies} processes of each service, registry ${redis.says}
  gateways   ${mall.gateways.join("  ")}
  between    mutual TLS, certificates in ${certificates.path}
  logs       ${logFolder}
  metrics    ${metrics}
  payments   ${provider.name}
Kill one with kill -9 and it comes back; Ctrl-C drains all.`);
  } catch (error) {
    await stop();
    throw error;
  }
  onShutdown(stop);
}

try {
  await main();
} catch (error) {
  console.error(error instanceof TypeError ? error.message : error);
  process.exit(error instanceof TypeError ? 2 : 1);
}

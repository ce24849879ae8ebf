import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrate } from "@mall/kernel/db/migrate";
import { baseEnv, type EnvSource, parseEnv } from "@mall/kernel/env";
import { onShutdown } from "@mall/kernel/host/bun";
import { gatewayPort, serviceNames } from "@mall/kernel/topology";
import { hostDatabase } from "@mall/mall/database";
import { buildMall } from "@mall/mall/mall";
import { seedDemo } from "@mall/mall/seed";
import { schemas } from "./env-table";
import { workerNames } from "./gen-wrangler";
import { prepareWorkerAssets } from "./worker-assets";
import { endWrangler, startWrangler } from "./wrangler";

const readyWithinMs = 60_000;

/** Migrates and seeds from this process: Workers cannot read migration files. Returns how many products it imported. */
async function prepare(env: EnvSource): Promise<number> {
  await migrate(env.MIGRATE_DATABASE_URL ?? env.DATABASE_URL!, serviceNames);
  const mall = buildMall(env);
  try {
    return await seedDemo(mall);
  } finally {
    await mall.close();
  }
}

/** The connection string for wrangler, which insists on a password even where the server asks for none. */
function hyperdriveUrl(url: string): string {
  const withPassword = new URL(url);
  withPassword.password ||= "none";
  return withPassword.href;
}

/**
 * The environment of wrangler, all of whose variables reach every Worker. Only what the mall knows goes in: a stray
 * USER or CART of the shell would take the place of a service binding.
 */
function workersEnv(env: EnvSource, state: string): EnvSource {
  const known = new Set(Object.values(schemas).flatMap((schema) => Object.keys(schema.shape)));
  return {
    ...Object.fromEntries(Object.entries(env).filter(([name]) => known.has(name))),
    CLOUDFLARE_INCLUDE_PROCESS_ENV: "true",
    // the local Hyperdrive has no pool: it passes role and limits through
    DATABASE_SETTINGS: "startup",
    CLOUDFLARE_HYPERDRIVE_LOCAL_CONNECTION_STRING_DB: hyperdriveUrl(env.DATABASE_URL!),
    // two malls on a machine must not find each other's Workers
    WRANGLER_REGISTRY_PATH: join(state, "registry"),
    WRANGLER_LOG_PATH: join(state, "logs"),
  };
}

/** Whether something answers there already: it would pass for ours. */
const isTaken = (port: number): Promise<boolean> =>
  fetch(`http://127.0.0.1:${port}/livez`).then(
    () => true,
    () => false,
  );

/** One wrangler with all Workers; the first configuration is the one that listens. */
function startWorkers(env: EnvSource, port: number, state: string) {
  const configs = [...workerNames].reverse().flatMap((name) => ["-c", `wrangler/${name}.jsonc`]);
  const options = ["--local", "--port", String(port), "--inspector-port", "0", "--persist-to", state];
  const workers = startWrangler(["dev", ...configs, ...options], workersEnv(env, state), {
    stderr: "inherit",
    detached: true,
  });
  void printLogs(workers.stdout);
  return workers;
}

/** Prints what the Workers log; wrangler's own lines about each request stay away, its errors come on stderr. */
async function printLogs(output: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of output) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("[mall-")) console.log(line);
  }
}

/** Waits until an answer has come all the way from the database. Throws Error after a minute or when wrangler ends. */
async function untilReady(base: string, ended: () => boolean): Promise<void> {
  for (const givenUpAtMs = Date.now() + readyWithinMs; Date.now() < givenUpAtMs; await Bun.sleep(100)) {
    if (ended()) throw new Error("wrangler ended before the mall was ready");
    const answer = await fetch(`${base}/v1/products?pageSize=1`, {
      signal: AbortSignal.timeout(5_000),
    }).catch(() => undefined);
    await answer?.arrayBuffer();
    if (answer?.ok) return;
  }
  throw new Error(`the mall did not answer within ${readyWithinMs / 1000} s`);
}

/** Fires the gateway's cron trigger, which nobody fires locally, again and again. Returns a function that stops it. */
function startCron(base: string, intervalMs: number): () => void {
  let isRunning = false;
  const timer = setInterval(async () => {
    if (isRunning) return;
    isRunning = true;
    // a sweep that is missed comes with the next one
    await fetch(`${base}/cdn-cgi/local/scheduled`, { signal: AbortSignal.timeout(30_000) }).catch(() => {});
    isRunning = false;
  }, intervalMs);
  return () => clearInterval(timer);
}

const startedMs = performance.now();
const given: EnvSource = { MALL_ENV: "dev", LOG_LEVEL: "warn", ...process.env };
const { SWEEP_INTERVAL_MS, BUS } = parseEnv(baseEnv, given);
if (BUS === "rabbitmq") {
  console.error("BUS: Workers cannot run rabbitmq; take qstash or local");
  process.exit(1);
}
const port = Number(given.PORT ?? gatewayPort);
if (await isTaken(port)) {
  console.error(`port ${port} is taken; set PORT to another one`);
  process.exit(1);
}
const base = `http://127.0.0.1:${port}`;
const database = await hostDatabase(given, (line) => console.log(line));
const env: EnvSource = { ...given, DATABASE_URL: database.url };
const seeded = await prepare(env);
if (seeded > 0) console.log(`Imported the demo catalogue: ${seeded} products.`);

const state = await mkdtemp(join(tmpdir(), "mall-edge-"));
await prepareWorkerAssets();
const workers = startWorkers(env, port, state);
let stopCron = () => {};
let isStopping = false;

async function stop(): Promise<void> {
  isStopping = true;
  stopCron();
  await endWrangler(workers);
  await rm(state, { recursive: true, force: true });
  await database.stop();
}

onShutdown(stop);
try {
  await untilReady(base, () => workers.exitCode !== null);
  stopCron = startCron(base, SWEEP_INTERVAL_MS);
  console.log(`
EdgeMall is ready in workerd after ${Math.round(performance.now() - startedMs)} ms.
  REST, Connect, gRPC-Web  http://localhost:${port}
  Documentation            http://localhost:${port}/docs
The cron trigger is fired every ${SWEEP_INTERVAL_MS} ms.
`);
  await workers.exited;
  throw new Error("wrangler ended by itself");
} catch (error) {
  // told to stop: that handler ends the process
  if (!isStopping) {
    console.error(error instanceof Error ? error.message : error);
    await stop();
    process.exit(1);
  }
}

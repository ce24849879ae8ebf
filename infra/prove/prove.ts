import { cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { randomOf } from "../random";
import { root } from "../repository";
import { type Cluster, forgetLogs, startCluster } from "./cluster";
import { checkInvariants, untilSettled } from "./invariants";
import { platformUsage, provePlatform } from "./platform/run";
import { type Context, type Form, must, type Proof, Violation } from "./proof";
import { proofs } from "./proofs/all";
import type { ProviderName } from "./provider";
import { type Outcome, page, table, unfired } from "./report";
import { openShop } from "./shop";

const usage = `usage: bun run prove [--short | --full] [--only <number>[,<number>]] [--seed <text>] [--provider fake] [--registry redis] [--write]
       bun run prove platform …   the proofs of the platform
  --short   what CI runs   --full   the full counts   --write   also write infra/docs/proofs.md`;

interface Options {
  form: Form;
  seed: string;
  only: readonly number[];
  provider: ProviderName;
  /** How processes find each other. */
  registry: "static" | "redis";
  write: boolean;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      short: { type: "boolean", default: false },
      full: { type: "boolean", default: false },
      only: { type: "string" },
      seed: { type: "string" },
      provider: { type: "string", default: "stripe" },
      registry: { type: "string", default: "static" },
      write: { type: "boolean", default: false },
    },
  });
  return {
    form: values.full ? "full" : values.short ? "short" : "default",
    seed: values.seed ?? crypto.randomUUID().slice(0, 8),
    only: values.only ? values.only.split(",").map(Number) : proofs.map(({ id }) => id),
    provider: values.provider === "fake" ? "fake" : "stripe",
    registry: values.registry === "redis" ? "redis" : "static",
    write: values.write,
  };
}

const copies = 2;
const failureLengthMax = 4000;

/** Runs one proof and everything that must be true after it. */
async function prove(proof: Proof, cluster: Cluster, { form, seed }: Options): Promise<Outcome> {
  const startedMs = performance.now();
  const elapsed = () => (performance.now() - startedMs) / 1000;
  const { id, name } = proof;
  console.log(`${id}. ${name}`);
  const shop = openShop(cluster.gateways, cluster.provider);
  const context: Context = {
    ...{ form, cluster, shop },
    size: (counts) => counts[form],
    random: randomOf(`${seed}/${id}`),
    log: (line) => console.log(`   ${line} (${elapsed().toFixed(1)} s)`),
  };
  try {
    const crashes = cluster.nodes.map((node) => node.crashes);
    const result = await proof.run(context);
    cluster.tap.clear();
    const settledMs = await untilSettled(cluster);
    await checkInvariants(cluster);
    for (const [i, node] of cluster.nodes.entries())
      must(node.crashes === crashes[i], `${node.name} ended although nobody killed it`);
    const missed = unfired(result);
    const failure = missed === undefined ? "" : `it never happened: ${missed}`;
    context.log(
      `${failure || "passed"}; settled after ${settledMs} ms; answers ${JSON.stringify(shop.tally)}`,
    );
    return { id, name, result, failure, seconds: elapsed() };
  } catch (error) {
    const failure = (error instanceof Violation ? error.message : Bun.inspect(error)).slice(
      0,
      failureLengthMax,
    );
    context.log(`FAILED: ${failure}\n   answers ${JSON.stringify(shop.tally)}`);
    return { id, name, failure, seconds: elapsed() };
  }
}

async function runAll(cluster: Cluster, options: Options): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let env: Record<string, string> = {};
  let spoilt = false;
  for (const proof of proofs.filter(({ id }) => options.only.includes(id))) {
    const wanted = proof.env ?? {};
    if (spoilt || !Bun.deepEquals(wanted, env)) await cluster.restart(wanted, spoilt);
    env = wanted;
    await cluster.ready();
    const outcome = await prove(proof, cluster, options);
    outcomes.push(outcome);
    spoilt = outcome.failure !== "";
  }
  return outcomes;
}

function machine(): string {
  const [cpu] = cpus();
  return `${cpus().length} × ${cpu?.model.trim() ?? "CPU"}, ${Math.round(totalmem() / 2 ** 30)} GB, ${process.platform}, Bun ${Bun.version}`;
}

async function main(): Promise<number> {
  const options = readOptions();
  const startedMs = performance.now();
  console.log(`${options.form} form, seed ${options.seed}`);
  let stop = async () => {};
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => void stop().finally(() => process.exit(130)));
  const cluster = await startCluster({ ...options, copies });
  stop = () => cluster.stop();
  try {
    const outcomes = await runAll(cluster, options);
    const failed = outcomes.filter(({ failure }) => failure !== "");
    const seconds = (performance.now() - startedMs) / 1000;
    console.log(
      `\n${table(outcomes)}\n\n${options.form} form, seed ${options.seed}, ${Math.round(seconds)} s`,
    );
    if (failed.length > 0) console.log(`\nThe logs are in ${cluster.logFolder}`);
    else await forgetLogs(cluster);
    if (options.write) {
      const facts = { ...options, seconds, copies, machine: machine(), provider: cluster.provider.name };
      const date = new Date().toISOString().slice(0, 10);
      await Bun.write(`${root}/infra/docs/proofs.md`, page(outcomes, { ...facts, date }));
    }
    return failed.length > 0 || outcomes.length === 0 ? 1 : 0;
  } finally {
    await cluster.stop();
  }
}

// hundreds of buyers at once are more than Bun opens connections for, unless told before it starts
const most = "BUN_CONFIG_MAX_HTTP_REQUESTS";
if (process.env[most] === undefined) {
  const env = { ...process.env, [most]: "2048" };
  const run = Bun.spawn([process.execPath, import.meta.path, ...process.argv.slice(2)], {
    ...{ env, stdin: "inherit", stdout: "inherit", stderr: "inherit" },
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => run.kill(signal));
  process.exit(await run.exited);
}
const [suite, ...rest] = process.argv.slice(2);
try {
  process.exit(suite === "platform" ? await provePlatform(rest) : await main());
} catch (error) {
  const how = suite === "platform" ? platformUsage : usage;
  console.error(error instanceof TypeError ? `${error.message}\n${how}` : error);
  process.exit(error instanceof TypeError ? 2 : 1);
}

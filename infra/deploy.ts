import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { ServiceName } from "@mall/kernel/topology";
import { type AskWrangler, environmentArgument, verdictOn } from "./deploy-checks";
import {
  bindingsOf,
  deploymentOf,
  deployOrder,
  type EnvironmentName,
  environmentNames,
  type WorkerName,
  wranglerText,
} from "./gen-wrangler";
import { root } from "./repository";
import { prepareWorkerAssets } from "./worker-assets";
import { startWrangler } from "./wrangler";

const usage = `Usage: npm run deploy -- --env <${environmentNames.join("|")}> [--dry-run] [--first]
DATABASE_URL is the owner's address of the environment's database, which must have had all migrations.
  --dry-run  builds and checks every Worker, uploads nothing; says what it could not check
  --first    the environment does not exist yet: Workers that send events to later ones are deployed twice`;

interface Options {
  environment: EnvironmentName;
  dryRun: boolean;
  first: boolean;
}

function readOptions(args: string[]): Options | undefined {
  try {
    const { values } = parseArgs({
      args,
      options: { env: { type: "string" }, "dry-run": { type: "boolean" }, first: { type: "boolean" } },
    });
    const environment = environmentNames.find((name) => name === values.env);
    return environment && { environment, dryRun: values["dry-run"] ?? false, first: values.first ?? false };
  } catch {
    return undefined;
  }
}

/** One upload: a Worker with the bindings it can have at that moment. */
interface Step {
  name: WorkerName;
  bindings: ServiceName[];
}

/**
 * Uploads in an order in which every callee exists before its caller. Listeners to events can form circles with them,
 * so on a first deploy a Worker goes up without the ones that are missing, and once more at the end.
 */
export function deploySteps(first: boolean): Step[] {
  const order = deployOrder();
  const whole = order.map((name) => ({ name, bindings: bindingsOf(name) }));
  if (!first) return whole;
  const missing = (step: Step, index: number) => step.bindings.filter((to) => order.indexOf(to) > index);
  const early = whole.map((step, index) => ({
    ...step,
    bindings: step.bindings.filter((to) => !missing(step, index).includes(to)),
  }));
  return [...early, ...whole.filter((step, index) => missing(step, index).length > 0)];
}

/** Writes the configuration of a step beside the committed ones, because its paths are relative to that folder. */
async function configOf({ name, bindings }: Step): Promise<{ path: string; remove(): Promise<void> }> {
  if (bindings.length === bindingsOf(name).length)
    return { path: `wrangler/${name}.jsonc`, remove: async () => {} };
  const path = `wrangler/.first-${name}.jsonc`;
  await Bun.write(join(root, path), wranglerText(name, bindings));
  return { path, remove: () => rm(join(root, path)) };
}

/** Runs wrangler to its end. */
async function ran(args: readonly string[]) {
  const child = startWrangler(args, process.env, { stderr: "pipe", detached: false });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { out, err, code };
}

const askWrangler: AskWrangler = async (args) => {
  const { out, err, code } = await ran(args);
  return { ok: code === 0, text: code === 0 ? out : err + out };
};

/** Deploys one Worker. Returns what it weighs; throws Error with wrangler's output when that failed or warned. */
async function deploy(step: Step, { environment, dryRun }: Options, outdir: string): Promise<string> {
  const config = await configOf(step);
  try {
    const args = ["deploy", "-c", config.path, environmentArgument(environment)];
    const dry = dryRun ? ["--dry-run", "--outdir", join(outdir, step.name)] : [];
    const { out, err, code } = await ran([...args, ...dry]);
    if (code !== 0 || /WARNING/.test(out + err))
      throw new Error(`${step.name} (exit ${code}):\n${out}${err}`);
    return /Total Upload: (.*)/.exec(out)?.[1] ?? "";
  } finally {
    await config.remove();
  }
}

/** KiB that a Worker may weigh when it is compressed: what it weighs it costs at each cold start. */
const budgetKib = (name: WorkerName): number => (name === "gateway" ? 100 : 300);

/** Fails when wrangler's line says more than the budget, or nothing. */
export function checkWeight(name: WorkerName, weight: string): void {
  const kib = Number(/gzip: ([\d.]+) KiB/.exec(weight)?.[1] ?? Number.NaN);
  if (!(kib <= budgetKib(name)))
    throw new Error(`${name} weighs ${weight}; ${budgetKib(name)} KiB compressed are its budget`);
}

/** Throws Error with everything that stands against a deploy; prints what could not be looked at. */
async function checkBefore({ environment, dryRun }: Options): Promise<void> {
  const given = deploymentOf(environment);
  const { problems, unchecked } = await verdictOn({
    ...{ environment, given, dryRun, env: process.env, wrangler: askWrangler },
  });
  for (const sentence of unchecked) console.log(`not checked: ${sentence}`);
  if (problems.length > 0) throw new Error(`Nothing was uploaded:\n  ${problems.join("\n  ")}`);
  const sources = Bun.spawn(["bun", "infra/check.ts", "types", "generated files"], {
    ...{ cwd: root, stdout: "inherit", stderr: "inherit" },
  });
  if ((await sources.exited) !== 0) throw new Error("Nothing was uploaded.");
}

/** Checks an environment, then deploys its Workers one after the other; stops at the first that fails. */
async function deployAll(options: Options): Promise<void> {
  await checkBefore(options);
  await prepareWorkerAssets();
  const outdir = await mkdtemp(join(tmpdir(), "mall-deploy-"));
  try {
    for (const step of deploySteps(options.first)) {
      const weight = await deploy(step, options, outdir);
      checkWeight(step.name, weight);
      console.log(`${step.name.padEnd(10)} ${weight}`);
    }
  } finally {
    await rm(outdir, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const options = readOptions(Bun.argv.slice(2));
  if (!options) {
    console.error(usage);
    process.exit(2);
  }
  try {
    await deployAll(options);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  }
}

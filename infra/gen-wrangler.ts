import { limitsOf, perAddressInProduction } from "@mall/gateway/admission";
import { bindingNameOf } from "@mall/kernel/ratelimit/binding";
import type { Limit } from "@mall/kernel/ratelimit/port";
import {
  calls,
  type ServiceName,
  serviceNames,
  serviceOfPackage,
  subscriptions,
} from "@mall/kernel/topology";
import deployment from "../wrangler/deployment.json";
import { schemas } from "./env-table";
import { assetsFolder } from "./worker-assets";

/** A Worker of the mall; its script is `mall-<name>`, with the environment appended outside dev. */
export type WorkerName = ServiceName | "gateway";
export type EnvironmentName = keyof typeof deployment;

export const workerNames: readonly WorkerName[] = [...serviceNames, "gateway"];
export const environmentNames = Object.keys(deployment) as EnvironmentName[];

/** What a deployment fills in by itself, in wrangler/deployment.json. */
export interface Deployment {
  /** Id of the Hyperdrive configuration of each service. */
  hyperdrive: Partial<Record<ServiceName, string>>;
  /** Variables of all Workers, on top of MALL_ENV. */
  vars: Record<string, string>;
  /** Routes or custom domains of the gateway, as wrangler takes them; without any it lives on workers.dev. */
  routes: readonly object[];
}

/** Stands where no Hyperdrive configuration is named; local runs do not look at it, and Cloudflare refuses it. */
const noHyperdrive = "0".repeat(32);

/** Services this one may call by the call table; each needs auth's public keys. */
const callsOf = (name: WorkerName): ServiceName[] =>
  serviceNames.filter((other) => other !== name && (other === "auth" || calls[name].includes(other)));

/** Other services that listen to events of this one; what it tells itself needs no binding. */
const listenersOf = (name: WorkerName): ServiceName[] =>
  Object.entries(subscriptions).flatMap(([type, listeners]) =>
    serviceOfPackage(type) === name ? listeners.filter((listener) => listener !== name) : [],
  );

/** The service bindings of a Worker. */
export const bindingsOf = (name: WorkerName): ServiceName[] => {
  const targets = new Set([...callsOf(name), ...listenersOf(name)]);
  return serviceNames.filter((other) => targets.has(other));
};

/** All Workers, each after those it calls. Only listeners to events can come later than who binds them. */
export function deployOrder(): WorkerName[] {
  const ordered = new Set<WorkerName>();
  const visit = (name: WorkerName) => {
    for (const callee of callsOf(name)) visit(callee);
    ordered.add(name);
  };
  for (const name of workerNames) visit(name);
  return [...ordered];
}

const scriptName = (name: WorkerName, environment: EnvironmentName): string =>
  environment === "dev" ? `mall-${name}` : `mall-${name}-${environment}`;

/** What every service needs to publish on QStash and to know its deliveries. */
const qstashSecrets = ["QSTASH_TOKEN", "QSTASH_CURRENT_SIGNING_KEY", "QSTASH_NEXT_SIGNING_KEY"];

const stripeSecrets = ["STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"];

/** Whether a Worker uses a Redis over REST, or can. */
const usesRedis = (name: WorkerName): boolean => "UPSTASH_REDIS_REST_TOKEN" in schemas[name].shape;

/** Secrets that a Worker of an environment needs. dev has a key in the code; wrangler refuses to forget the others. */
export function requiredSecrets(
  name: WorkerName,
  environment: EnvironmentName,
  { vars }: Deployment,
): string[] {
  return [
    ...(environment === "dev" ? [] : ["MALL_MASTER_KEY"]),
    ...(vars.BUS === "qstash" && name !== "gateway" ? qstashSecrets : []),
    ...(vars.PAYMENT_PROVIDER === "stripe" && name === "payment" ? stripeSecrets : []),
    ...(vars.MAILER === "http" && name === "auth" ? ["MAILER_TOKEN"] : []),
    ...(vars.UPSTASH_REDIS_REST_URL && usesRedis(name) ? ["UPSTASH_REDIS_REST_TOKEN"] : []),
  ];
}

/** Services of an environment for which no Hyperdrive configuration is named. */
export const missingHyperdrives = ({ hyperdrive }: Deployment): ServiceName[] =>
  serviceNames.filter((name) => !hyperdrive[name]);

/** What wrangler/deployment.json says of an environment. */
export const deploymentOf = (environment: EnvironmentName): Deployment => deployment[environment];

/** A limit as a binding counts it: over 10 s, or a minute where so few are let in that 10 s would hardly count. */
function bindingOf({ name, perSecond, burst }: Limit, namespace: number) {
  const period = perSecond < 5 ? 60 : 10;
  const simple = { limit: perSecond * period + burst, period };
  // an id stands for one counter in the whole account
  return { name: bindingNameOf(name), namespace_id: String(namespace), simple };
}

/** The rate-limit bindings of the gateway, which count for all its isolates where it has no Redis. */
function rateLimitsOf(environment: EnvironmentName, { vars }: Deployment) {
  const perAddress = Number(vars.RATE_LIMIT_PER_ADDRESS ?? perAddressInProduction);
  if (perAddress === 0) return [];
  const { ofClass, ...limits } = limitsOf(perAddress);
  const first = 7_134_000 + 100 * environmentNames.indexOf(environment);
  return [...Object.values(limits), ...Object.values(ofClass)].map((limit, n) => bindingOf(limit, first + n));
}

/** The keys that wrangler does not inherit from the top level. */
function environmentOf(
  name: WorkerName,
  environment: EnvironmentName,
  bindings: readonly ServiceName[],
  given: Deployment,
) {
  const own = { vars: { ...given.vars, MALL_ENV: environment } };
  const services = bindings.map((other) => ({
    binding: other.toUpperCase(),
    service: scriptName(other, environment),
  }));
  const required = requiredSecrets(name, environment, given);
  const secrets = required.length > 0 ? { secrets: { required } } : {};
  if (name === "gateway") {
    const routes = given.routes.length > 0 ? { routes: given.routes } : {};
    return { ...own, ...secrets, services, ratelimits: rateLimitsOf(environment, given), ...routes };
  }
  return {
    ...own,
    ...secrets,
    services,
    hyperdrive: [{ binding: "DB", id: given.hyperdrive[name] ?? noHyperdrive }],
  };
}

/** The gateway has the documentation page's files and the mall's one cron trigger. */
const gatewayOnly = {
  assets: {
    directory: assetsFolder,
    binding: "ASSETS",
    run_worker_first: true,
    html_handling: "none",
    not_found_handling: "none",
  },
  triggers: { crons: ["* * * * *"] },
};

/** The wrangler configuration of a Worker; dev is its top level. `bindings` other than its own serve a first deploy. */
export function wranglerConfig(
  name: WorkerName,
  bindings: readonly ServiceName[] = bindingsOf(name),
  deployments: Record<EnvironmentName, Deployment> = deployment,
) {
  const [top, ...others] = environmentNames;
  return {
    $schema: "../node_modules/wrangler/config-schema.json",
    name: scriptName(name, top!),
    main: `../apps/${name}/worker.ts`,
    compatibility_date: "2026-11-01",
    compatibility_flags: ["nodejs_compat"],
    minify: true,
    // a name for each function is a tenth of what a Worker weighs; traces have them from the source maps
    keep_names: false,
    upload_source_maps: true,
    workers_dev: name === "gateway",
    preview_urls: false,
    observability: { enabled: true },
    // a service talks to the database several times for each request, and to the gateway once
    ...(name === "gateway" ? gatewayOnly : { placement: { mode: "smart" } }),
    ...environmentOf(name, top!, bindings, deployments[top!]),
    env: Object.fromEntries(
      others.map((environment) => [
        environment,
        environmentOf(name, environment, bindings, deployments[environment]),
      ]),
    ),
  };
}

const header =
  "// Written by infra/gen-wrangler.ts from apps/_kernel/topology.ts and wrangler/deployment.json: change those.\n";

/** The text of a configuration file, formatted as the repository is. */
export function wranglerText(name: WorkerName, bindings?: readonly ServiceName[]): string {
  const json = JSON.stringify(wranglerConfig(name, bindings));
  const biome = Bun.spawnSync(["node_modules/.bin/biome", "format", "--stdin-file-path=wrangler/x.jsonc"], {
    cwd: `${import.meta.dir}/..`,
    stdin: Buffer.from(header + json),
  });
  if (!biome.success) throw new Error(`biome cannot format the configuration of ${name}: ${biome.stderr}`);
  return biome.stdout.toString();
}

/** Writes wrangler/<name>.jsonc of every Worker. */
export async function generateWrangler(): Promise<void> {
  for (const name of workerNames) {
    await Bun.write(new URL(`../wrangler/${name}.jsonc`, import.meta.url), wranglerText(name));
  }
}

if (import.meta.main) await generateWrangler();

import { pendingMigrations } from "@mall/kernel/db/pending";
import type { EnvSource } from "@mall/kernel/env";
import { serviceNames } from "@mall/kernel/topology";
import {
  type Deployment,
  type EnvironmentName,
  missingHyperdrives,
  requiredSecrets,
  workerNames,
} from "./gen-wrangler";

/** Runs wrangler with these arguments. */
export type AskWrangler = (args: readonly string[]) => Promise<{ ok: boolean; text: string }>;

/** What stands against an upload, and what could not be looked at; a sentence each. */
export interface Verdict {
  problems: string[];
  unchecked: string[];
}

interface Options {
  environment: EnvironmentName;
  /** What wrangler/deployment.json says of it. */
  given: Deployment;
  /** Nothing is uploaded, so what takes an account or the database may stay unchecked. */
  dryRun: boolean;
  env: EnvSource;
  wrangler: AskWrangler;
}

/** The argument that names an environment to wrangler: dev is the top level of a configuration. */
export const environmentArgument = (environment: EnvironmentName): string =>
  `--env=${environment === "dev" ? "" : environment}`;

const problem = (sentence: string): Verdict => ({ problems: [sentence], unchecked: [] });
const unchecked = (sentence: string): Verdict => ({ problems: [], unchecked: [sentence] });
const fine: Verdict = { problems: [], unchecked: [] };

async function migrationsApplied({ dryRun, env }: Options): Promise<Verdict> {
  const url = env.MIGRATE_DATABASE_URL ?? env.DATABASE_URL;
  if (!url && dryRun) return unchecked("migrations: DATABASE_URL names no database");
  if (!url)
    return problem("migrations: set DATABASE_URL to the owner's address of this environment's database");
  try {
    const pending = await pendingMigrations(url, serviceNames);
    if (pending.length === 0) return fine;
    return problem(`migrations: run \`npm run mall -- migrate\` first, pending are ${pending.join(", ")}`);
  } catch (error) {
    // a connection's error may quote the address, and with it the password
    const code = (error as { code?: string }).code ?? (error as Error).name;
    return problem(`migrations: the database of DATABASE_URL cannot be asked (${code})`);
  }
}

function hyperdrivesNamed({ environment, given, dryRun }: Options): Verdict {
  const missing = missingHyperdrives(given);
  if (missing.length === 0) return fine;
  const sentence = `Hyperdrive: wrangler/deployment.json names none in ${environment}.hyperdrive for ${missing.join(", ")}`;
  return dryRun ? unchecked(sentence) : problem(sentence);
}

async function secretsSet({ environment, given, dryRun, wrangler }: Options): Promise<Verdict> {
  const required = workerNames.flatMap((name) => {
    const secrets = requiredSecrets(name, environment, given);
    return secrets.length > 0 ? [{ name, secrets }] : [];
  });
  if (required.length === 0) return fine;
  if (dryRun) return unchecked("secrets: a dry run does not ask Cloudflare which are set");
  const problems: string[] = [];
  for (const { name, secrets } of required) {
    const config = `wrangler/${name}.jsonc`;
    const { ok, text } = await wrangler(["secret", "list", "-c", config, environmentArgument(environment)]);
    const set = ok ? (JSON.parse(text) as { name: string }[]).map((secret) => secret.name) : [];
    const missing = secrets.filter((secret) => !set.includes(secret));
    if (missing.length === 0) continue;
    if (!ok && text.includes("CLOUDFLARE_API_TOKEN"))
      return problem(
        "secrets: set CLOUDFLARE_API_TOKEN, or sign in with `npx wrangler login`, to have them listed",
      );
    const why = ok ? "" : `, since wrangler cannot list them: ${Bun.stripANSI(text).trim().slice(0, 300)}`;
    problems.push(`secrets: ${name} lacks ${missing.join(", ")}${why}`);
  }
  return { problems, unchecked: [] };
}

/** Looks at an environment before anything is uploaded to it. Changes nothing. */
export async function verdictOn(options: Options): Promise<Verdict> {
  const verdicts = [hyperdrivesNamed(options), await migrationsApplied(options), await secretsSet(options)];
  return {
    problems: verdicts.flatMap(({ problems }) => problems),
    unchecked: verdicts.flatMap((each) => each.unchecked),
  };
}

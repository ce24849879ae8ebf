import { serviceNames } from "@mall/kernel/topology";
import { $, Glob } from "bun";
import { withEnvTable } from "./env-table";
import { generateWrangler } from "./gen-wrangler";

/*
 * bun run gen            writes everything that is derived from the contract, the tables and the environments
 * bun run gen --check    the same, then fails when that changed a file
 */

process.chdir(`${import.meta.dir}/..`);
process.env.PATH = `${process.cwd()}/node_modules/.bin:${process.env.PATH}`;

const written = ["gen/**/*", "db/migrations/**/*", "wrangler/*.jsonc", "README.md"];

/** Digest of every file that holds generated text, by path. */
async function snapshot(): Promise<Map<string, string>> {
  const digests = new Map<string, string>();
  for (const path of written.flatMap((glob) => [...new Glob(glob).scanSync(".")])) {
    digests.set(path, Bun.hash(await Bun.file(path).bytes()).toString());
  }
  return digests;
}

/** Messages and services from proto/; documents, what clients know of them, permissions and routes; the list of passwords. */
async function generateFromContract(): Promise<void> {
  const { exitCode } =
    await $`buf generate && bun infra/openapi/generate.ts && bun infra/openapi/client.ts && bun infra/permissions.ts && bun infra/gateway-routes.ts && bun infra/common-passwords.ts`.nothrow();
  if (exitCode !== 0) process.exit(1);
}

/** A migration for each service whose tables differ from its last one. Asks about renames on a terminal. */
async function generateMigrations(): Promise<void> {
  for (const name of serviceNames) {
    if (!(await Bun.file(`db/${name}.ts`).exists())) continue;
    const what = ["--dialect", "postgresql", "--schema", `db/${name}.ts`, "--out", `db/migrations/${name}`];
    const kit = Bun.spawn(["drizzle-kit", "generate", ...what], { stdio: ["inherit", "inherit", "pipe"] });
    const errors = await new Response(kit.stderr).text();
    process.stderr.write(errors);
    // without a terminal it exits 0 although a question stayed open
    if ((await kit.exited) !== 0 || errors.includes("Error")) process.exit(1);
  }
}

const before = await snapshot();
await generateFromContract();
await generateMigrations();
await generateWrangler();
await Bun.write("README.md", withEnvTable(await Bun.file("README.md").text()));
const after = await snapshot();
const paths = [...new Set([...before.keys(), ...after.keys()])].sort();
const changed = paths.filter((path) => before.get(path) !== after.get(path));
console.log(changed.length === 0 ? "Nothing changed." : ["Changed:", ...changed].join("\n  "));
if (changed.length > 0 && process.argv.includes("--check")) {
  await $`git --no-pager diff --stat -- ${changed}`;
  console.error("Generated files were not up to date: run `bun run gen` and commit the result.");
  process.exit(1);
}

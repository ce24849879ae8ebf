import { root } from "./repository";

/** What `npm run check` looks at, in this order: the quickest first, nothing that needs a database. Takes names of steps. */
const steps: readonly (readonly [name: string, ...command: string[]])[] = [
  ["format and lint", "biome", "check", "--error-on-warnings", "."],
  ["proto lint", "buf", "lint"],
  ["proto format", "buf", "format", "--diff", "--exit-code"],
  [
    "layers and conventions",
    "bun",
    "test",
    "--only-failures",
    "./infra/layers.test.ts",
    "./infra/conventions.test.ts",
  ],
  ["types", "tsc", "-p", "."],
  ["generated files", "bun", "infra/gen.ts", "--check"],
];

/** Runs one step. Prints its time, and its output when it fails. Returns whether it passed. */
async function passes([name, ...command]: (typeof steps)[number]): Promise<boolean> {
  const startedMs = performance.now();
  const child = Bun.spawn(command, {
    cwd: root,
    env: { ...process.env, PATH: `${root}/node_modules/.bin:${process.env.PATH}` },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(`${code === 0 ? "ok  " : "FAIL"} ${name.padEnd(24)} ${seconds.padStart(5)} s`);
  if (code !== 0) console.log(`$ ${command.join(" ")}\n${out}${err}`);
  return code === 0;
}

const names = Bun.argv.slice(2);
const chosen = names.length > 0 ? steps.filter(([name]) => names.includes(name)) : steps;
const failed: string[] = [];
for (const step of chosen) if (!(await passes(step))) failed.push(step[0]);
if (failed.length > 0)
  console.log(`FAILED: ${failed.join(", ")}. \`npm run format\` mends what can be mended by itself.`);
process.exit(failed.length > 0 ? 1 : 0);

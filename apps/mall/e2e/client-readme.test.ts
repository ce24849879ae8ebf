import { beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { host, hostKind } from "./host";

beforeAll(() => host());

const folder = new URL("../../client/", import.meta.url).pathname;
const readme = await Bun.file(`${folder}README.md`).text();
/** The programs of the README: what imports something. */
const examples = [...readme.matchAll(/```ts\n(import[\s\S]+?)```/g)].map((match) => match[1]!);

/** Bundles a program as a page's would be and runs it against the mall under test. Returns what it prints. */
async function output(program: string): Promise<string> {
  const entry = join(folder, "readme-example.ts");
  const text = program.replace("http://localhost:8080", (await host()).url);
  const built = await Bun.build({ entrypoints: [entry], files: { [entry]: text }, target: "browser" });
  const dir = await mkdtemp(join(tmpdir(), "mall-readme-"));
  try {
    await Bun.write(join(dir, "example.mjs"), await built.outputs[0]!.text());
    const run = Bun.spawn(["node", join(dir, "example.mjs")], { stdout: "pipe", stderr: "inherit" });
    return await new Response(run.stdout).text();
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

test(`the examples of the client's README run, bundled for browsers, in Node (${hostKind})`, async () => {
  expect(examples).toHaveLength(2);
  expect(await output(examples[0]!)).toMatch(/^Trail Mug .*: \d+ USD\n$/);
  expect(await output(examples[1]!)).toMatch(/^Trail Mug\n$/);
});

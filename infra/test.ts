import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbeddedPostgres } from "@mall/kernel/postgres/embedded";
import { root } from "./repository";

/** A PostgreSQL for one test run. */
interface Database {
  url: string;
  stop(): Promise<void>;
}

/** DATABASE_URL, else an embedded server whose data nobody needs afterwards. */
async function testServer(given: string | undefined): Promise<Database> {
  if (given) return { url: given, stop: async () => {} };
  const dataDir = join(tmpdir(), `mall-test-${process.pid}`);
  const server = await startEmbeddedPostgres({ dataDir, fsync: false });
  return {
    url: server.url,
    async stop() {
      await server.stop();
      for (const folder of new Set([dataDir, server.dataDir]))
        await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Copies a stream to ours as it comes. Returns its text without colours. */
async function copied(from: ReadableStream<Uint8Array>, to: NodeJS.WriteStream): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of from) {
    to.write(chunk);
    text += decoder.decode(chunk, { stream: true });
  }
  return Bun.stripANSI(text);
}

/** Milliseconds for one test or hook: a machine that is busy with something else is slow, not wrong. */
const timeoutMs = 120_000;

/** Runs `bun test` with these arguments on a database. Signals reach it, so that it ends what it started. */
async function runTests(
  args: readonly string[],
  databaseUrl: string,
): Promise<{ code: number; text: string }> {
  const child = Bun.spawn([process.execPath, "test", `--timeout=${timeoutMs}`, ...args], {
    cwd: root,
    env: {
      ...process.env,
      DATABASE_URL: databaseUrl,
      PATH: `${root}/node_modules/.bin:${process.env.PATH}`,
      ...(process.stdout.isTTY ? { FORCE_COLOR: "1" } : {}),
    },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
  const [out, err] = await Promise.all([
    copied(child.stdout, process.stdout),
    copied(child.stderr, process.stderr),
  ]);
  return { code: await child.exited, text: `${out}\n${err}` };
}

/** What this run did not try, and how to try it: what tests said themselves, and the other hosts of the whole suite. */
function notTried(text: string, isWhole: boolean): string[] {
  const said = [...text.matchAll(/^.*SKIPPED: .*$/gm)].map(([line]) => line.trim());
  const host = process.env.MALL_HOST ?? "one";
  const hosts = { one: "one process", many: "a process a service", edge: "Workers" };
  const others = Object.entries(hosts).filter(([name]) => name !== host);
  const hosted = others.map(
    ([name, title]) =>
      `NOT RUN: the behavioural suite on ${title}: MALL_HOST=${name} npm test -- apps/mall/e2e`,
  );
  const carried = ["qstash", "rabbitmq"].map(
    (bus) =>
      `NOT RUN: events over ${bus}: MALL_HOST=many MALL_BUS=${bus} npm test -- apps/mall/e2e/events.test.ts`,
  );
  const secured = "NOT RUN: mutual TLS: MALL_HOST=many MALL_MTLS=1 npm test -- apps/mall/e2e";
  const lines = [...hosted, secured, ...carried];
  return [...new Set(said), ...(isWhole ? lines : [])];
}

/** What bun's summary counts, such as " 12 pass"; a run that ended badly failed at least once. */
function countsOf(text: string, code: number): { passed: number; failed: number } {
  const count = (word: string) => Number(new RegExp(`^\\s*(\\d+) ${word}$`, "m").exec(text)?.[1] ?? 0);
  return { passed: count("pass"), failed: Math.max(count("fail"), code === 0 ? 0 : 1) };
}

const args = process.argv.slice(2);
const database = await testServer(process.env.DATABASE_URL);
const { code, text } = await runTests(args, database.url).finally(database.stop);
const { passed, failed } = countsOf(text, code);
console.log(["", ...notTried(text, args.length === 0)].join("\n"));
console.log(`${passed} passed, ${failed} failed`);
process.exit(code);

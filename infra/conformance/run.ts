import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { $ } from "bun";
import { root } from "../repository";
import { startTestWorker } from "../test-worker";

/*
 * bun infra/conformance/run.ts [http1|http2|workerd] [more for the runner]    Connect's own conformance suite against the
 * mounts that the mall's services have. Needs Go: the runner and its protos come from the Go module proxy.
 */

const version = "v1.0.7";
const module = "connectrpc.com/conformance";
const mounts = ["http1", "http2", "workerd"];

const [first, ...rest] = process.argv.slice(2);
const isMount = first !== undefined && mounts.includes(first);
const wanted = isMount ? [first] : mounts;
const more = isMount ? rest : process.argv.slice(2);

const isTotal = (line: string) => line.startsWith("Total cases");

const work = mkdtempSync(join(tmpdir(), "mall-conformance-"));
try {
  await $`go install ${module}/cmd/connectconformance@${version}`.env({ ...process.env, GOBIN: work });
  const { Dir: source } = await $`go mod download -json ${module}@${version}`.json();
  const descriptors = join(work, "conformance.binpb");
  await $`${root}/node_modules/.bin/buf build ${source}/proto -o ${descriptors}`;
  const wrangler = join(work, "wrangler.json");
  writeFileSync(
    wrangler,
    JSON.stringify({
      ...{ name: "conformance", main: join(root, "infra/conformance/worker.ts") },
      ...{ compatibility_date: "2026-11-01", compatibility_flags: ["nodejs_compat"] },
      vars: { DESCRIPTORS: readFileSync(descriptors, "base64") },
    }),
  );
  const failed: string[] = [];
  for (const mount of wanted) {
    const worker = mount === "workerd" ? await startTestWorker(wrangler) : undefined;
    const env = {
      ...process.env,
      CONFORMANCE_DESCRIPTORS: descriptors,
      CONFORMANCE_WORKER_PORT: String(worker?.port),
    };
    console.log(`\n--- ${mount}`);
    const here = join(root, "infra/conformance");
    const known = ["--known-failing", `@${here}/known-failing.txt`];
    const server = ["bun", `${here}/server.ts`, mount];
    const { exitCode, stdout, stderr } =
      await $`${work}/connectconformance --mode server --conf ${here}/${mount}.yaml ${known} ${more} -- ${server}`
        .env(env)
        .cwd(root)
        .quiet()
        .nothrow();
    const lines = `${stdout}${stderr}`.split("\n");
    // what failed as it should takes a thousand lines
    console.log((exitCode === 0 ? lines.slice(lines.findIndex(isTotal)) : lines).join("\n").trim());
    await worker?.stop();
    if (exitCode !== 0) failed.push(mount);
  }
  if (failed.length > 0) throw new Error(`does not conform: ${failed.join(", ")}`);
} finally {
  await rm(work, { recursive: true, force: true });
}

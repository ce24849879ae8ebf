import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrate } from "@mall/kernel/db/migrate";
import { startEmbeddedPostgres } from "@mall/kernel/postgres/embedded";
import { freePorts } from "@mall/kernel/testing/ports";
import { serviceNames } from "@mall/kernel/topology";
import { root } from "../repository";
import { type Instruction, stagesOf } from "./stages";

/*
 * bun infra/docker/try.ts    does what the Dockerfile says without Docker: its COPY and RUN lines in an empty folder, then
 * its CMD and HEALTHCHECK for every service and for all in one, with its ENV. A file or package that is missing in the image
 * is missing here. Base images, users and file systems are not tried.
 */

const stages = stagesOf(await Bun.file(join(root, "infra/docker/Dockerfile")).text());
const [packages, image] = stages as [Instruction[], Instruction[]];
const of = (stage: Instruction[], keyword: string) =>
  stage.filter((each) => each.keyword === keyword).map(({ rest }) => rest);

/** The folder that the first stage makes. */
async function build(folder: string): Promise<void> {
  const ignored = (await Bun.file(join(root, "infra/docker/Dockerfile.dockerignore")).text())
    .split("\n")
    .filter(Boolean)
    .map((pattern) => new Bun.Glob(pattern));
  const filter = (path: string) => !ignored.some((glob) => glob.match(path.slice(root.length + 1)));
  for (const { keyword, rest } of packages) {
    if (keyword === "COPY") {
      const words = rest.split(/\s+/);
      const target = words.pop()!;
      for (const source of words) {
        const to = join(folder, target.endsWith("/") ? join(target, source) : target);
        await cp(join(root, source), to, { recursive: true, filter });
      }
    } else if (keyword === "RUN") {
      const code = await Bun.spawn(["sh", "-c", rest], { cwd: folder, stdout: "ignore" }).exited;
      if (code !== 0) throw new Error(`RUN ${rest} ended with ${code}`);
    }
  }
}

/** The variables that the image sets. */
const imageEnv = (): Record<string, string> =>
  Object.fromEntries(of(image, "ENV").flatMap((rest) => rest.split(/\s+/).map((pair) => pair.split("="))));

/** Starts one container's process and waits until its health check says yes. */
async function tryService(folder: string, databaseUrl: string, service: string | undefined): Promise<void> {
  const [port, grpcPort] = (await freePorts(2)) as [number, number];
  const env: Record<string, string> = {
    ...{ PATH: process.env.PATH!, HOME: folder, ...imageEnv() },
    ...{ PORT: String(port), GRPC_PORT: String(grpcPort), DATABASE_URL: databaseUrl, LOG_LEVEL: "warn" },
    ...{ MALL_MASTER_KEY: "a master key for nothing but this trial of the image", PAYMENT_ALLOW_FAKE: "1" },
    ...{ MAILER: "none", ...(service ? { SERVICE: service } : {}) },
  };
  const [command] = of(image, "CMD") as [string];
  const [check] = of(image, "HEALTHCHECK") as [string];
  const probe = JSON.parse(check.slice(check.indexOf("CMD ") + 4)) as string[];
  const child = Bun.spawn(JSON.parse(command) as string[], { cwd: folder, env });
  const isHealthy = async () => (await Bun.spawn(probe, { cwd: folder, env, stderr: "ignore" }).exited) === 0;
  try {
    for (const until = Date.now() + 30_000; !(await isHealthy()); await Bun.sleep(100))
      if (child.exitCode !== null || Date.now() > until)
        throw new Error(`${service ?? "the whole mall"} is not healthy in the image`);
    console.log(`${service ?? "all in one"}: healthy`);
  } finally {
    child.kill("SIGTERM");
    if ((await child.exited) !== 0) process.exitCode = 1;
  }
}

const folder = await mkdtemp(join(tmpdir(), "mall-image-"));
const database = await startEmbeddedPostgres({ dataDir: join(folder, "postgres"), fsync: false });
try {
  const mall = join(folder, "mall");
  await build(mall);
  await migrate(database.url, serviceNames);
  for (const service of [undefined, "gateway", ...serviceNames])
    await tryService(mall, database.url, service);
} finally {
  await database.stop();
  await rm(folder, { recursive: true, force: true });
}

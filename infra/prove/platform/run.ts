import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { migrate } from "@mall/kernel/db/migrate";
import { startRedis } from "@mall/kernel/testing/redis";
import { startTestRedisRest } from "@mall/kernel/testing/redis-rest";
import { serviceNames } from "@mall/kernel/topology";
import postgres from "postgres";
import { clusterCertificates } from "../../cluster/certificates";
import { type ClusterMall, startClusterMall } from "../../cluster/mall";
import { stablePorts } from "../../cluster/ports";
import { randomOf } from "../../random";
import { type CrashablePostgres, startPostgres } from "../database";
import { stockShelves } from "../goods";
import { type Form, must, Violation } from "../proof";
import { type Outcome, table, unfired } from "../report";
import { openTap, type Tap } from "../tap";
import { settle } from "./deeds";
import { frontDoor } from "./front-door";
import type { PlatformContext, PlatformProof } from "./proof";
import { limitsIn } from "./proofs/05-redis-away";
import { platformProofs } from "./proofs/all";

const usage = `usage: bun run prove platform [--short | --full] [--only <number>[,<number>]] [--seed <text>] [--registry static] [--pace <number>]
  --pace   requests a second, 50 when absent: a machine that is busy with something else serves fewer`;

interface Options {
  form: Form;
  seed: string;
  only: readonly number[];
  /** By addresses although there is a Redis. */
  isStatic: boolean;
  /** Requests a second. */
  pace: number;
}

function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      short: { type: "boolean", default: false },
      full: { type: "boolean", default: false },
      only: { type: "string" },
      seed: { type: "string" },
      registry: { type: "string" },
      pace: { type: "string", default: "50" },
    },
  });
  return {
    form: values.full ? "full" : values.short ? "short" : "default",
    pace: Number(values.pace),
    isStatic: values.registry === "static",
    seed: values.seed ?? crypto.randomUUID().slice(0, 8),
    only: values.only ? values.only.split(",").map(Number) : platformProofs.map(({ id }) => id),
  };
}

const copies = 2;

/** What the proofs stand on. */
interface Ground {
  database: CrashablePostgres;
  redisUrl?: string;
  logFolder: string;
}

/** The doors of the services that a proof wants to listen at. */
async function doorsOf(tap: Tap, { tapped = [] }: PlatformProof) {
  const ports = await stablePorts(tapped.length * copies);
  const opened: Promise<void>[] = [];
  return {
    opened: () => Promise.all(opened),
    addressOf: (service: string, port: number) => {
      if (!(tapped as readonly string[]).includes(service)) return `http://127.0.0.1:${port}`;
      const door = tap.door(service, ports.pop()!, port);
      opened.push(door.open());
      return door.url;
    },
  };
}

const crashesOf = (mall: ClusterMall): number => mall.nodes.reduce((sum, { crashes }) => sum + crashes, 0);

/** Runs one proof on a mall of its own and an empty database. */
async function prove(proof: PlatformProof, ground: Ground, { form, seed, pace }: Options): Promise<Outcome> {
  const { database, redisUrl, logFolder } = ground;
  const startedMs = performance.now();
  const seconds = () => (performance.now() - startedMs) / 1000;
  const log = (line: string) => console.log(`   ${line} (${seconds().toFixed(1)} s)`);
  const { id, name } = proof;
  console.log(`${id}. ${name}`);
  const ends: (() => unknown)[] = [];
  try {
    await database.renew();
    await migrate(database.url, serviceNames);
    const tap = openTap();
    ends.push(() => tap.stop());
    const doors = await doorsOf(tap, proof);
    const redisRest = proof.needsRedis ? await startTestRedisRest() : undefined;
    if (proof.needsRedis)
      must(redisRest !== undefined, "redis-server is not installed: infra/install-debian.sh");
    ends.push(() => redisRest?.stop());
    const inherited = { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "" };
    const settings = { MALL_ENV: "test", LOG_LEVEL: "warn", DRAIN_SECONDS: "2", DATABASE_URL: database.url };
    const env = { ...inherited, ...settings, ...(redisRest ? limitsIn(redisRest) : {}) };
    // a tap can stand between processes only where these talk in the clear
    const certificates = proof.tapped ? undefined : await clusterCertificates(join(logFolder, `certs-${id}`));
    const { addressOf } = doors;
    const mall = await startClusterMall({
      copies,
      env,
      redisUrl: redisRest?.redis.url ?? redisUrl,
      logFolder,
      certificates,
      addressOf,
    });
    ends.push(() => Promise.all(mall.nodes.map((node) => node.stop())));
    await doors.opened();
    await mall.ready();
    const sql = postgres(database.url, { max: 1, onnotice: () => {} });
    ends.push(() => sql.end({ timeout: 1 }));
    const random = randomOf(`${seed}/platform/${id}`);
    const plans = Array.from({ length: 20 }, () => ({ units: 1_000_000, priceMinor: 1999 }));
    const goods = await stockShelves({ env, sql }, "platform", plans);
    const door = frontDoor(mall.gateways);
    ends.push(() => door.stop());
    const town = await settle(door, goods, random.fork("town"));
    const context: PlatformContext = {
      ...{
        form,
        pace,
        random,
        mall,
        certificates,
        door,
        town,
        tap,
        redisRest,
        log,
        size: (counts) => counts[form],
      },
    };
    log("the mall is ready");
    const result = await proof.run(context);
    must(crashesOf(mall) === 0, "a process ended although nobody killed it");
    const missed = unfired(result);
    const failure = missed === undefined ? "" : `it never happened: ${missed}`;
    log(failure || `passed: ${result.notes.join("; ")}`);
    return { id, name, result, failure, seconds: seconds() };
  } catch (error) {
    const failure = error instanceof Violation ? error.message : Bun.inspect(error);
    log(`FAILED: ${failure}`);
    return { id, name, failure, seconds: seconds() };
  } finally {
    for (const end of ends.toReversed()) await end();
  }
}

/** REDIS_URL, else Debian's server; none where that is not installed or not wanted. */
async function registryServer({ isStatic }: Options): Promise<{ url?: string; stop(): Promise<void> }> {
  const none = { stop: async () => {} };
  if (isStatic) return none;
  if (process.env.REDIS_URL) return { ...none, url: process.env.REDIS_URL };
  const redis = await startRedis();
  if (redis) return redis;
  console.log("SKIPPED: redis-server is not installed; the processes find each other by static addresses");
  return none;
}

/** Proves what the platform promises. Returns the exit code. */
export async function provePlatform(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  console.log(`platform, ${options.form} form, seed ${options.seed}`);
  const redis = await registryServer(options);
  const database = await startPostgres({ fsync: false });
  const logFolder = mkdtempSync(join(tmpdir(), "mall-platform-logs-"));
  const stop = async () => {
    await database.stop();
    await redis.stop();
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => void stop().finally(() => process.exit(130)));
  try {
    const outcomes: Outcome[] = [];
    for (const proof of platformProofs.filter(({ id }) => options.only.includes(id)))
      outcomes.push(await prove(proof, { database, redisUrl: redis.url, logFolder }, options));
    console.log(`\n${table(outcomes)}\n\nregistry ${redis.url ? "redis" : "static"}, seed ${options.seed}`);
    const isFine = outcomes.length > 0 && outcomes.every(({ failure }) => failure === "");
    if (isFine) await rm(logFolder, { recursive: true, force: true });
    else console.log(`The logs are in ${logFolder}`);
    return isFine ? 0 : 1;
  } finally {
    await stop();
  }
}

export const platformUsage = usage;

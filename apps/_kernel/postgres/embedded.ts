import * as fs from "node:fs";
import { join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";
import { clusterOf, findHome, makeFolder, type Place, preparePlace } from "./embedded-place";
import {
  createCluster,
  interrupt,
  interruptAndWait,
  launch,
  removeHalfMade,
  START_MS,
  settledServer,
} from "./embedded-server";

/** A running server: `dataDir` is where its files really are, `adopted` tells that it was an orphan. */
export interface EmbeddedPostgres {
  url: string;
  dataDir: string;
  adopted: boolean;
  stop(): Promise<void>;
}

interface Options {
  dataDir: string;
  port?: number;
  log?: (line: string) => void;
  fsync?: boolean;
}
const SQLITE_BUSY = 5;

/**
 * Runs the PostgreSQL of a data folder on 127.0.0.1 and makes folder, cluster and database `mall` where they
 * are missing. The url carries superuser `mall` and the folder's random password. Without `port` any free one
 * is taken; `fsync: false` is for tests, whose data a power cut may take.
 *
 * This process owns the server until `stop()`, a fast shutdown that waits up to 60 s. A normal exit tells the
 * server to stop; kill -9 leaves an orphan, which the next start adopts and owns (so stops) like a server of
 * its own, or restarts if it is not on the given port. Throws a sentence if another live process owns the
 * folder (`findEmbeddedPostgres` is for that) or the server is not ready within 120 s.
 */
export async function startEmbeddedPostgres(options: Options): Promise<EmbeddedPostgres> {
  const { port, fsync = true, log = () => {} } = options;
  const dataDir = makeFolder(resolve(options.dataDir));
  const ownership = own(dataDir);
  try {
    const place = preparePlace(dataDir, log);
    removeHalfMade(place.home);
    if (!fs.existsSync(place.cluster)) await createCluster(place, fsync, log);
    const orphan = await adopt(place, port, log);
    const server = orphan ?? (await launch(place, port, fsync));
    const url = urlOf(place.home, server.port);
    const atExit = () => interrupt(place, server.pid);
    process.once("exit", atExit);
    const stop = async () => {
      await interruptAndWait(place, server.pid);
      process.off("exit", atExit);
      ownership.close();
    };
    await hasDatabase(url, { create: true }).catch((error) => stop().then(() => Promise.reject(error)));
    let stopped: Promise<void> | undefined;
    return { url, dataDir: place.home, adopted: !!orphan, stop: () => (stopped ??= stop()) };
  } catch (error) {
    if (ownership.isOpen) ownership.close();
    throw error;
  }
}

/**
 * URL of the server of a data folder if one runs and answers, whoever owns it; else undefined. Waits while the
 * server is starting or stopping, at most 120 s. Throws EACCES if the folder is another user's.
 */
export async function findEmbeddedPostgres(dataDir: string): Promise<string | undefined> {
  const folder = resolve(dataDir);
  const home = fs.existsSync(folder) ? findHome(fs.realpathSync(folder)) : undefined;
  const server = home && (await settledServer(clusterOf(home)));
  if (!home || !server) return undefined;
  const url = urlOf(home, server.port);
  return (await hasDatabase(url).catch(() => false)) ? url : undefined;
}

/**
 * SQLite's lock on a file ends with its process however that ends, so there is no stale lock to judge. Nothing
 * else in this process may open the file: closing it again would drop a POSIX lock.
 */
function own(dataDir: string): DatabaseSync {
  fs.accessSync(dataDir, fs.constants.W_OK);
  const pidFile = join(dataDir, "owner.pid");
  const lock = new DatabaseSync(join(dataDir, "owner.lock"));
  try {
    lock.exec("begin exclusive");
    fs.writeFileSync(pidFile, `${process.pid}\n`);
    return lock;
  } catch (error) {
    lock.close();
    if ((error as { errcode?: number }).errcode !== SQLITE_BUSY) throw error;
    const owner = fs.existsSync(pidFile) ? fs.readFileSync(pidFile, "utf8").trim() : "of another user";
    throw new Error(
      `The database in ${dataDir} is run by process ${owner}: stop that or use another data folder.`,
    );
  }
}

/** The orphan of a killed owner once it answers, or undefined once there is none. */
async function adopt(place: Place, port: number | undefined, log: (line: string) => void) {
  const deadline = Date.now() + START_MS;
  for (;;) {
    const orphan = await settledServer(place.cluster);
    if (!orphan) return undefined;
    if (port !== undefined && port !== orphan.port) {
      log(`stopping the orphaned PostgreSQL on port ${orphan.port}`);
      await interruptAndWait(place, orphan.pid);
      continue;
    }
    try {
      await hasDatabase(urlOf(place.home, orphan.port));
      log(`adopted the orphaned PostgreSQL ${orphan.pid} on port ${orphan.port}`);
      return orphan;
    } catch (error) {
      // it may just have been killed
      if (Date.now() > deadline) throw error;
      await sleep(50);
    }
  }
}

/** Throws what the driver throws if the server does not answer. */
async function hasDatabase(url: string, { create = false } = {}): Promise<boolean> {
  const sql = postgres(url, { database: "postgres", max: 1, connect_timeout: 10, fetch_types: false });
  try {
    const [mall] = await sql`select from pg_database where datname = 'mall'`;
    if (!mall && create) await sql`create database mall`.catch(ignoreDuplicate);
    return !!mall || create;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** The session of a killed owner may have been making the database at this very moment. */
function ignoreDuplicate(error: { code?: string }): void {
  if (error.code !== "42P04" && error.code !== "23505") throw error;
}

function urlOf(home: string, port: number): string {
  return `postgres://mall:${fs.readFileSync(join(home, "password"), "utf8")}@127.0.0.1:${port}/mall`;
}

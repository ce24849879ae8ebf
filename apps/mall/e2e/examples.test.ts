import { afterAll, beforeAll, expect, test } from "bun:test";
import { freePorts } from "@mall/kernel/testing/ports";
import type { Browser } from "playwright-core";
import { hasChromium, launchChromium } from "./chromium";
import { host, hostKind, spawn } from "./host";

beforeAll(() => host());

const folder = new URL("../../../infra/examples/", import.meta.url).pathname;

/** What an example prints; fails with what it says when it fails. */
async function printed(command: string[]): Promise<string> {
  const run = Bun.spawn(command, { cwd: folder, stdout: "pipe", stderr: "pipe", timeout: 60_000 });
  const [out, err] = await Promise.all([new Response(run.stdout).text(), new Response(run.stderr).text()]);
  expect([await run.exited, err]).toEqual([0, ""]);
  return out;
}

/** An order as the mall's own books have it, in the words of the examples. */
async function booked(number: string): Promise<string> {
  const { databaseUrl } = await host();
  const sql = new Bun.SQL(databaseUrl, { max: 1 });
  try {
    const [order] = await sql`select number, state, total::text as total, currency from "order".orders
      where number = ${number}`;
    return order
      ? `${order.number} ORDER_STATE_${order.state.toUpperCase()} ${order.total} ${order.currency}\n`
      : "";
  } finally {
    await sql.close();
  }
}

const isThere = (command: string) => Bun.spawnSync(["sh", "-c", command]).exitCode === 0;

/** A test of an example; says so when the machine lacks what it needs. */
function example(name: string, needed: string, command: (mall: { url: string; grpc?: string }) => string[]) {
  test(`${name} buys (${hostKind})`, async () => {
    if (!isThere(needed))
      return console.warn(`SKIPPED: what "${needed}" asks for is not installed, not tried: ${name}`);
    const out = await printed(command(await host()));
    expect(out).toMatch(/^\d+ ORDER_STATE_PAID \d+ USD\n$/);
    expect(await booked(out.split(" ")[0]!)).toBe(out);
  });
}

example("curl", "curl --version && jq --version", ({ url }) => ["sh", "purchase.sh", url]);
example("Node", "node --version", ({ url }) => ["node", "account.mjs", url]);
if (hostKind !== "edge")
  example("gRPC from Python", "/usr/bin/python3 -c 'import grpc, google.protobuf'", ({ grpc }) => [
    ...["/usr/bin/python3", "-B", "grpc_purchase.py", grpc!],
  ]);

let browser: Browser | undefined;
afterAll(() => browser?.close());

test(`a page buys by Connect-Web, in Chromium (${hostKind})`, async () => {
  if (!hasChromium) return console.warn("SKIPPED: Chromium is not installed, the page was not tried");
  const [port] = (await freePorts(1)) as [number];
  const server = spawn(["bun", `${folder}connect-web/index.html`, `--port=${port}`], {});
  try {
    browser = await launchChromium();
    const tab = await browser.newPage();
    const address = `http://localhost:${port}/?mall=${encodeURIComponent((await host()).url)}`;
    for (let tries = 0; tries < 100 && !(await tab.goto(address).catch(() => null)); tries++)
      await Bun.sleep(100);
    await tab.getByRole("button", { name: "Buy a mug" }).click();
    await tab.getByText("ORDER_STATE").waitFor();
    const text = await tab.locator("output").textContent();
    expect(`${text}\n`).toBe(await booked(text!.split(" ")[0]!));
    expect(text).toContain("ORDER_STATE_PAID");
  } finally {
    await server.kill();
  }
});

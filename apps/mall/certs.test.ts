import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readCredentials } from "@mall/kernel/mtls/credentials";
import { hoursFromNow } from "@mall/kernel/testing/certificates";
import type { CallerName } from "@mall/kernel/topology";
import { certificateFolder, certified } from "./certificate-folder";
import { certsCommand } from "./certs";
import { UsageError } from "./usage";

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** The command line with a folder of its own. */
function commands(settleMs = 0) {
  const dataDir = mkdtempSync(join(tmpdir(), "mall-certs-"));
  folders.push(dataDir);
  const lines: string[] = [];
  const context = {
    print: (line: string) => void lines.push(line),
    dataDir,
    settleMs,
    now: () => new Date(),
  };
  const certs = async (command: string): Promise<{ code: number; text: string }> => {
    lines.length = 0;
    const code = await certsCommand(command.split(" "), context);
    return { code, text: lines.join("\n") };
  };
  const path = join(dataDir, "certs");
  const credentials = (name: CallerName, now = new Date()) =>
    readCredentials(certificateFolder(path).files(name), now);
  return { certs, path, credentials };
}

test("init makes what every process needs, keys for nobody else's eyes, all of it ignored by git", async () => {
  const { certs, path, credentials } = commands();
  expect((await certs("init --trust-domain shop.example")).code).toBe(0);
  for (const name of certified)
    expect(credentials(name)).toMatchObject({ name, trustDomain: "shop.example" });
  const files = readdirSync(path, { recursive: true, encoding: "utf8" }).map((file) => join(path, file));
  const keys = files.filter((file) => file.endsWith("key.pem"));
  expect(keys.length).toBe(certified.length + 1);
  expect(new Set(keys.map((file) => statSync(file).mode & 0o777))).toEqual(new Set([0o600]));
  const open = files.filter((file) => statSync(file).isDirectory() && (statSync(file).mode & 0o077) !== 0);
  expect(open).toEqual([]);
  expect(readFileSync(join(path, ".gitignore"), "utf8")).toBe("*\n");
  expect(files.filter((file) => file.endsWith(".new"))).toEqual([]);
});

test("init changes nothing where an authority is", async () => {
  const { certs, credentials } = commands();
  await certs("init");
  const before = credentials("order").digest;
  expect((await certs("init")).code).toBe(1);
  expect(credentials("order").digest).toBe(before);
});

test("certificates live for the hours that were asked for, a day when none were, a week at most", async () => {
  const { certs, credentials } = commands();
  await certs("init");
  const lifeHours = (name: CallerName) => (credentials(name).validTo.getTime() - Date.now()) / 3_600_000;
  expect(Math.round(lifeHours("cart"))).toBe(24);
  await certs("issue cart order --hours 2");
  expect(Math.round(lifeHours("cart"))).toBe(2);
  expect(() => credentials("cart", hoursFromNow(3))).toThrow("is not valid at this time");
  for (const hours of ["0", "-1", "169", "x"])
    expect(await certs(`issue cart --hours ${hours}`).catch((error) => error)).toBeInstanceOf(UsageError);
});

test("rotate gives everybody another key, and list tells whose certificate is good for what", async () => {
  const { certs, path, credentials } = commands();
  await certs("init");
  const before = certified.map((name) => credentials(name).key);
  expect((await certs("rotate")).code).toBe(0);
  expect(certified.map((name) => credentials(name).key).filter((key) => before.includes(key))).toEqual([]);
  const good = await certs("list");
  expect(good.code).toBe(0);
  expect(good.text).toMatch(/order +spiffe:\/\/mall\.internal\/order +by 1 +ends 20/);
  rmSync(join(path, "order", "key.pem"));
  const bad = await certs("list");
  expect(bad.code).toBe(1);
  expect(bad.text).toMatch(/order .* cannot be read/);
});

test("an authority is changed in three steps, in this order", async () => {
  const { certs, credentials } = commands();
  await certs("init");
  const trusted = () => credentials("order").authorities.length;
  expect((await certs("rotate ca-begin")).code).toBe(0);
  expect(trusted()).toBe(2);
  expect((await certs("rotate ca-begin")).code).toBe(1);
  const early = await certs("rotate ca-end");
  expect(early.code).toBe(1);
  expect(early.text).toContain("order");
  expect(trusted()).toBe(2);
  await certs("rotate");
  expect((await certs("rotate ca-end")).code).toBe(0);
  expect(trusted()).toBe(1);
  expect((await certs("list")).text).toMatch(/^authority 2 .*\n.* by 2 /);
});

test("no step comes before everybody has seen the last one", async () => {
  const settleMs = 400;
  const { certs, path } = commands(settleMs);
  const changedMs = (file: string) => statSync(join(path, file)).mtimeMs;
  await certs("init");
  await certs("rotate ca-begin");
  const both = changedMs("ca.pem");
  await certs("rotate");
  const issued = changedMs("auth/cert.pem");
  expect(issued - both).toBeGreaterThanOrEqual(0.9 * settleMs);
  await certs("rotate ca-end");
  expect(changedMs("ca.pem") - changedMs("gateway/cert.pem")).toBeGreaterThanOrEqual(0.9 * settleMs);
});

test("what is not understood changes nothing", async () => {
  const { certs, path } = commands();
  expect((await certs("issue cart")).code).toBe(1);
  expect((await certs("list")).code).toBe(1);
  expect(existsSync(path)).toBe(false);
  await certs("init");
  for (const command of [
    "",
    "make",
    "issue",
    "issue nobody",
    "rotate all",
    "list all",
    "init now",
    "init --x 1",
  ])
    expect(await certs(command).catch((error) => error)).toBeInstanceOf(UsageError);
  expect(await certs("init --trust-domain Über").catch((error) => error)).toBeInstanceOf(UsageError);
});

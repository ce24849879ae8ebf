import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bunPasswords } from "@mall/auth/password/bun";
import { createAuthCommands } from "@mall/auth/service";
import { serveHttp } from "@mall/kernel/host/bun";
import { asCommand } from "@mall/kernel/rpc/context";
import { testDatabase } from "@mall/kernel/testing/database";
import { buildMall } from "@mall/mall/mall";
import { seedDemo } from "@mall/mall/seed";
import { $ } from "bun";
import { root } from "../repository";

/*
 * bun infra/conformance/schemathesis.ts [more for schemathesis]    asks a mall whatever its OpenAPI document allows and much
 * that it does not, as a guest, a customer and an administrator: no answer may be a 5xx, have a status, type, header or body
 * that the document does not name, or accept what the document forbids. Needs Python; schemathesis comes from PyPI.
 */

const version = "4.32.5";

/** Operations that a caller is not made to do, with the reason. */
const left: Record<"customer" | "admin", readonly string[]> = {
  // they end the session that the rest of the run needs
  customer: ["Logout", "LogoutAll", "DeleteMe"],
  // so do these, and an administrator may shut everybody out of the mall
  admin: ["Logout", "LogoutAll", "DeleteMe", "SetRule", "SetConfig", "RollbackConfig", "BlockUser"],
};

const work = mkdtempSync(join(tmpdir(), "mall-schemathesis-"));
const database = await testDatabase();
const mall = buildMall({ MALL_ENV: "test", LOG_LEVEL: "error", DATABASE_URL: database.url });
await Promise.all(mall.apps.map((app) => app.start()));
await seedDemo(mall);
const server = serveHttp(mall.gateway.fetch, 0, "127.0.0.1");
const url = `http://127.0.0.1:${server.port}`;

/** Signs somebody in, by the password given or a new one. Returns the access token. */
async function tokenOf(path: string, body: object): Promise<string> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  return ((await response.json()) as { tokens: { accessToken: string } }).tokens.accessToken;
}

async function admin(): Promise<string> {
  const email = "boss@example.com";
  const commands = createAuthCommands(mall.resourcesOf("auth"), bunPasswords());
  const { password } = await asCommand(() => commands.createAdmin(email));
  return tokenOf("/v1/auth/login", { email, password });
}

const person = { email: "ada@example.com", password: "correct horse battery staple", displayName: "Ada" };

try {
  await $`python3 -m venv ${work}/venv && ${work}/venv/bin/pip install -q --disable-pip-version-check schemathesis==${version}`;
  const callers = {
    guest: undefined,
    customer: await tokenOf("/v1/auth/register", person),
    admin: await admin(),
  };
  const failed: string[] = [];
  for (const [name, token] of Object.entries(callers)) {
    console.log(`\n--- as ${name}`);
    const as = token ? ["-H", `Authorization: Bearer ${token}`] : [];
    const without = (left[name as keyof typeof left] ?? []).flatMap((id) => ["--exclude-operation-id", id]);
    const options = ["-n", "10", "-w", "2", "--phases", "examples,coverage,fuzzing"];
    const { exitCode } =
      await $`${work}/venv/bin/schemathesis --config-file ${root}/infra/conformance/schemathesis.toml run ${url}/openapi.json ${as} ${without} ${options} ${process.argv.slice(2)}`
        .cwd(work)
        .env({
          ...process.env,
          SCHEMATHESIS_HOOKS: "hooks",
          PYTHONPATH: `${root}/infra/conformance`,
          PYTHONDONTWRITEBYTECODE: "1",
        })
        .nothrow();
    if (exitCode !== 0) failed.push(name);
  }
  if (failed.length > 0) throw new Error(`the document is not kept, as ${failed.join(", ")}`);
} finally {
  await server.stop(true);
  await mall.close();
  await database.drop();
  await rm(work, { recursive: true, force: true });
}
process.exit(0);

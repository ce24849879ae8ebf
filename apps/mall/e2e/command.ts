import { host } from "./host";
import { type Options, rest } from "./shop";

const root = new URL("../../..", import.meta.url).pathname;

/** Runs the command line on the database of the mall under test. */
export async function mall(...args: string[]): Promise<{ exitCode: number; text: string }> {
  const { databaseUrl } = await host();
  const env = { ...process.env, MALL_ENV: "test", LOG_LEVEL: "error", DATABASE_URL: databaseUrl };
  const run = Bun.spawn(["bun", "apps/mall/cli.ts", ...args], {
    cwd: root,
    env,
    stdout: "pipe",
    stderr: "pipe",
  });
  const text = (await new Response(run.stdout).text()) + (await new Response(run.stderr).text());
  return { exitCode: await run.exited, text };
}

/** A signed-in administrator, made by the command line. */
export async function newAdmin(): Promise<Options> {
  const email = `boss-${crypto.randomUUID()}@example.com`;
  const created = await mall("admin", "create", email);
  const password = /password (\S+)/.exec(created.text)?.[1];
  const login = await rest<{ tokens: { accessToken: string } }>("POST", "/v1/auth/login", {
    email,
    password,
  });
  return { token: login.body.tokens.accessToken };
}

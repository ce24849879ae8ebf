import { openDb } from "@mall/kernel/db/client";
import { uuidOf } from "@mall/kernel/id";
import { host } from "./host";
import { newUser, type Options, rest } from "./shop";

const root = new URL("../../..", import.meta.url).pathname;

/** Runs the command line on the database of the mall under test. */
export const mall = (...args: string[]) => mallWith({ LOG_LEVEL: "warn" }, ...args);

/** Runs it with more in its environment. */
export async function mallWith(
  given: Readonly<Record<string, string>>,
  ...args: string[]
): Promise<{ exitCode: number; text: string }> {
  const { databaseUrl } = await host();
  const env = { ...process.env, MALL_ENV: "test", DATABASE_URL: databaseUrl, ...given };
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

/** A user who signed in with these roles; how one gets them is auth's business. */
export async function newUserWith(...roles: string[]): Promise<{ token: string; id: string }> {
  const { id, email, password } = await newUser();
  const owner = openDb({ url: (await host()).databaseUrl, max: 1 });
  await owner.sql`update auth.accounts set roles = ${`{${roles}}`} where id = ${uuidOf(id)}`;
  await owner.close();
  const login = await rest<{ tokens: { accessToken: string } }>("POST", "/v1/auth/login", {
    email,
    password,
  });
  return { token: login.body.tokens.accessToken, id };
}

/** A key that a user made for a machine. */
export async function newApiKey(creator: Options, ...scopes: string[]): Promise<{ id: string; key: string }> {
  const body = { name: "machine", scopes, ttlDays: 1 };
  const made = await rest<{ apiKey: { id: string }; key: string }>("POST", "/v1/api-keys", body, creator);
  return { id: made.body.apiKey.id, key: made.body.key };
}

import { expect, test } from "bun:test";
import { emptyDatabase, testDatabase } from "@mall/kernel/testing/database";
import { serviceNames } from "@mall/kernel/topology";
import { verdictOn } from "./deploy-checks";
import type { Deployment } from "./gen-wrangler";

const hyperdrive = Object.fromEntries(serviceNames.map((name) => [name, "a".repeat(32)]));
const whole: Deployment = { hyperdrive, vars: {}, routes: [] };
const secretsOf =
  (...names: string[]) =>
  async () => ({ ok: true, text: JSON.stringify(names.map((name) => ({ name, type: "secret_text" }))) });

/** A deploy of production in which nothing is missing, changed. */
const verdict = (over: Partial<Parameters<typeof verdictOn>[0]>) =>
  verdictOn({
    ...{ environment: "production", given: whole, dryRun: false, env: {} },
    wrangler: secretsOf("MALL_MASTER_KEY"),
    ...over,
  });

test("a deploy needs a database that has had all migrations", async () => {
  const [migrated, empty] = [await testDatabase(), await emptyDatabase()];
  try {
    const on = async (DATABASE_URL?: string, dryRun = false) => verdict({ env: { DATABASE_URL }, dryRun });
    expect(await on(migrated.url)).toEqual({ problems: [], unchecked: [] });
    expect((await on()).problems).toEqual([expect.stringContaining("set DATABASE_URL")]);
    expect((await on(undefined, true)).unchecked[0]).toContain("DATABASE_URL names no database");
    for (const dryRun of [false, true]) {
      const [pending] = (await on(empty.url, dryRun)).problems;
      expect(pending).toMatch(/npm run mall -- migrate.*auth\/\d{4}_\w+, .*checkout\/\d{4}_/);
    }
    const owner = { MIGRATE_DATABASE_URL: migrated.url, DATABASE_URL: empty.url };
    expect((await verdict({ env: owner })).problems).toEqual([]);
    const secret = "not-to-be-printed";
    const [away] = (await on(`postgres://mall:${secret}@127.0.0.1:1/mall`)).problems;
    expect(away).toContain("cannot be asked (ECONNREFUSED)");
    expect(away).not.toContain(secret);
  } finally {
    await migrated.drop();
    await empty.drop();
  }
});

test("a deploy needs the secrets of each Worker, asked of its environment", async () => {
  const asked: string[] = [];
  const { problems } = await verdict({
    given: { ...whole, vars: { BUS: "qstash", PAYMENT_PROVIDER: "stripe" } },
    wrangler: async (args) => {
      asked.push(args.join(" "));
      return args.includes("wrangler/cart.jsonc")
        ? { ok: false, text: "This Worker does not exist." }
        : secretsOf(
            "MALL_MASTER_KEY",
            "QSTASH_TOKEN",
            "QSTASH_CURRENT_SIGNING_KEY",
            "QSTASH_NEXT_SIGNING_KEY",
          )();
    },
  });
  expect(asked).toContain("secret list -c wrangler/gateway.jsonc --env=production");
  expect(asked).toHaveLength(8);
  const secrets = problems.filter((sentence) => sentence.startsWith("secrets: "));
  expect(secrets).toHaveLength(2);
  expect(secrets.find((sentence) => sentence.includes("cart"))).toContain("This Worker does not exist");
  expect(secrets.find((sentence) => sentence.includes("payment"))).toBe(
    "secrets: payment lacks STRIPE_SECRET_KEY, STRIPE_WEBHOOK_SECRET",
  );
});

test("a deploy needs a Hyperdrive for each service; a dry run says what it did not ask", async () => {
  const given = { ...whole, hyperdrive: { auth: "a".repeat(32) } };
  const [refusal] = (await verdict({ given })).problems;
  expect(refusal).toMatch(/Hyperdrive: .* production\.hyperdrive for user, .*checkout/);
  const wrangler = async () => {
    throw new Error("a dry run asks nobody");
  };
  const dry = await verdict({ given, dryRun: true, wrangler });
  expect(dry.problems).toEqual([]);
  expect(dry.unchecked.map((sentence) => sentence.split(":")[0])).toEqual([
    "Hyperdrive",
    "migrations",
    "secrets",
  ]);
});

import { describe, expect, test } from "bun:test";
import type { EnvSource } from "@mall/kernel/env";
import { metaOf } from "@mall/kernel/env-fields";
import { serviceNames } from "@mall/kernel/topology";
import { schemas } from "./env-table";
import { root } from "./repository";

const newSecret = () => Buffer.from(crypto.getRandomValues(new Uint8Array(24))).toString("hex");

/** A production that lacks nothing. */
const whole: EnvSource = {
  ...{ MALL_ENV: "production", MALL_MASTER_KEY: newSecret(), BUS: "qstash", PAYMENT_PROVIDER: "stripe" },
  ...{
    QSTASH_TOKEN: newSecret(),
    QSTASH_CURRENT_SIGNING_KEY: newSecret(),
    QSTASH_NEXT_SIGNING_KEY: newSecret(),
  },
  ...{ STRIPE_SECRET_KEY: `sk_live_${newSecret()}`, STRIPE_WEBHOOK_SECRET: `whsec_${newSecret()}` },
  ...{ UPSTASH_REDIS_REST_URL: "https://redis.test", CONFIG_STORE: "redis" },
  UPSTASH_REDIS_REST_TOKEN: newSecret(),
  ...{ MAILER: "http", MAILER_TOKEN: newSecret(), MAIL_FROM: "shop@shop.test" },
};

const shapes = Object.entries(schemas).flatMap(([service, schema]) =>
  Object.entries(schema.shape).map(([name, field]) => ({ service, name, meta: metaOf(field) })),
);
const secrets = shapes.filter(({ meta }) => meta.secretCharactersMin !== undefined);

test("every variable that is named like a secret is one, and no other", () => {
  // TLS_KEY and EDGE_TLS_KEY are paths of files
  const named = shapes.filter(({ name }) => /(?<!TLS_)(?:KEY|TOKEN|SECRET|PASSWORD)$/.test(name));
  const names = (of: typeof shapes) => [...new Set(of.map(({ name }) => name))].sort();
  expect(names(secrets)).toEqual(names(named));
  expect(names(secrets).length).toBeGreaterThan(6);
});

/** Who reads a variable: one service, or all of them and the gateway. */
const readersOf = (service: string) => (service === "" ? [...serviceNames, "gateway"] : [service]);

/** Environments that lack one secret, and whom that stops. */
const broken = secrets.flatMap(({ service, name }) =>
  (["", "short", "x".repeat(64), `changeme-${newSecret()}`] as const)
    // the gateway is no consumer of the bus, so it misses none of its secrets
    .flatMap((value) =>
      readersOf(service)
        .filter((reader) => value !== "" || reader !== "gateway" || name === "MALL_MASTER_KEY")
        .map((reader) => ({ reader, name, value })),
    ),
);
const described = ({ reader, name, value }: (typeof broken)[number]) =>
  `${reader}: ${name} ${value === "" ? "missing" : value.slice(0, 8)}`;

describe("a Worker", () => {
  const context = { waitUntil: () => {} };
  /** The sentence that a Worker's first request ends with; it serves nothing. */
  async function refusalOf(reader: string, env: EnvSource): Promise<string> {
    // a fresh isolate: the app is built once in each
    const { default: worker } = await import(`../apps/${reader}/worker.ts?${crypto.randomUUID()}`);
    try {
      await worker.fetch(new Request(`http://${reader}/livez`), { ...env }, context);
      return "served";
    } catch (error) {
      return (error as Error).message;
    }
  }

  test.each(broken.map((each) => [described(each), each] as const))(
    "serves nothing in production: %s",
    async (_what, { reader, name, value }) => {
      const said = await refusalOf(reader, { ...whole, [name]: value });
      expect(said).toContain(`${name}: `);
      if (value.length > 8) expect(said).not.toContain(value);
    },
  );

  test("gets further with secrets of its own", async () => {
    expect(await refusalOf("gateway", whole)).toBe("served");
    expect(await refusalOf("auth", whole)).toContain("no database");
  });
});

describe("a process", () => {
  async function refusalOf(env: EnvSource): Promise<{ code: number; said: string }> {
    const child = Bun.spawn(["bun", "apps/mall/start.ts"], {
      cwd: root,
      env: { PATH: process.env.PATH, ...env },
      stdout: "ignore",
      stderr: "pipe",
    });
    const said = await new Response(child.stderr).text();
    return { code: await child.exited, said };
  }
  const database = { DATABASE_URL: "postgres://mall@127.0.0.1:1/none" };

  // the profile is production when none is named
  test.each([
    [
      "the whole mall without a master key",
      { ...whole, ...database, MALL_ENV: undefined, MALL_MASTER_KEY: undefined },
      "MALL_MASTER_KEY",
    ],
    [
      "the whole mall with the same character",
      { ...whole, ...database, MALL_MASTER_KEY: "x".repeat(64) },
      "MALL_MASTER_KEY",
    ],
    [
      "the whole mall with a database's own password",
      { ...whole, DATABASE_URL: "postgres://mall:mall@127.0.0.1:1/none" },
      "DATABASE_URL",
    ],
    [
      "auth with a short token",
      { ...whole, ...database, SERVICE: "auth", MAILER_TOKEN: "short" },
      "MAILER_TOKEN",
    ],
    [
      "payment without a secret",
      { ...whole, ...database, SERVICE: "payment", STRIPE_WEBHOOK_SECRET: "" },
      "STRIPE_WEBHOOK_SECRET",
    ],
    [
      "the gateway with the key of development",
      { ...whole, SERVICE: "gateway", MALL_MASTER_KEY: "development-only-master-key-not-for-production" },
      "MALL_MASTER_KEY",
    ],
  ] as const)("does not start: %s", async (_what, env, name) => {
    const { code, said } = await refusalOf(env);
    expect({ code, said }).toMatchObject({ code: 1, said: expect.stringContaining(`${name}: `) });
  });
});

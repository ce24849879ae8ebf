import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { calls, serviceNames, subscriptions } from "@mall/kernel/topology";
import deployment from "../wrangler/deployment.json";
import { checkWeight, deploySteps } from "./deploy";
import {
  bindingsOf,
  deployOrder,
  environmentNames,
  requiredSecrets,
  type WorkerName,
  workerNames,
  wranglerConfig,
} from "./gen-wrangler";

type Config = ReturnType<typeof wranglerConfig>;
type Environment = Config["env"][string] & { hyperdrive?: { binding: string; id: string }[] };

const fileOf = async (name: WorkerName): Promise<Config> =>
  (await import(`../wrangler/${name}.jsonc`, { with: { type: "jsonc" } })).default;

/** dev is the top level, the others stand under env. */
const sectionOf = (config: Config, environment: string): Environment =>
  environment === "dev" ? (config as unknown as Environment) : config.env[environment]!;

describe("the Worker configurations", () => {
  test("in wrangler/ are what the topology says; `bun run gen` writes them", async () => {
    for (const name of workerNames) expect(await fileOf(name)).toEqual(wranglerConfig(name));
  });

  test("exist for every service and the gateway, with an entry that exists", async () => {
    expect([...workerNames].sort()).toEqual([...serviceNames, "gateway" as const].sort());
    for (const name of workerNames) {
      const { main } = await fileOf(name);
      expect(existsSync(new URL(`../wrangler/${main}`, import.meta.url))).toBe(true);
    }
  });

  test("bind each allowed callee, auth for its public keys and listeners to events, in every environment", async () => {
    for (const name of workerNames) {
      const config = await fileOf(name);
      for (const environment of environmentNames) {
        const targets = new Set<string>([...calls[name], "auth"]);
        for (const [type, listeners] of Object.entries(subscriptions)) {
          if (type.startsWith(`mall.${name}.`)) for (const listener of listeners) targets.add(listener);
        }
        targets.delete(name);
        const suffix = environment === "dev" ? "" : `-${environment}`;
        const expected = [...targets].map((to) => [to.toUpperCase(), `mall-${to}${suffix}`]);
        const bound = sectionOf(config, environment).services.map(({ binding, service }) => [
          binding,
          service,
        ]);
        expect(bound.sort()).toEqual(expected.sort());
      }
    }
  });

  test("have the secrets that the guide to a deployment lists", async () => {
    const guide = await Bun.file(new URL("docs/deploy-cloudflare.md", import.meta.url)).text();
    const rows = guide.split("| Secret | Of | When |")[1]!.split("\n\n")[0]!.split("\n").slice(2);
    const whoIs = (text: string): readonly string[] => {
      if (text === "all") return workerNames;
      if (text === "all but the gateway") return serviceNames;
      return text.split(", ").filter((name) => workerNames.includes(name as WorkerName));
    };
    const listed = rows.flatMap((row) => {
      const [, secrets, of] = row.split("|").map((cell) => cell.trim());
      if (!secrets || !of) return [];
      return secrets
        .split(", ")
        .flatMap((secret) => whoIs(of).map((name) => `${name} ${secret.slice(1, -1)}`));
    });
    const vars = {
      ...{ BUS: "qstash", PAYMENT_PROVIDER: "stripe", MAILER: "http" },
      UPSTASH_REDIS_REST_URL: "https://redis.example.com",
    };
    const needed = workerNames.flatMap((name) =>
      requiredSecrets(name, "production", { hyperdrive: {}, vars, routes: [] }).map(
        (secret) => `${name} ${secret}`,
      ),
    );
    expect(listed.sort()).toEqual(needed.sort());
  });

  test("are complete in every environment: profile, database, master key", async () => {
    expect(environmentNames).toEqual(["dev", "test", "production"]);
    for (const name of workerNames) {
      const config = await fileOf(name);
      for (const environment of environmentNames) {
        const section = sectionOf(config, environment);
        expect(section.vars).toEqual({ ...deployment[environment].vars, MALL_ENV: environment });
        expect(section.hyperdrive?.map(({ binding }) => binding)).toEqual(
          name === "gateway" ? undefined : ["DB"],
        );
        const { secrets } = section as { secrets?: { required: string[] } };
        expect(secrets?.required).toEqual(environment === "dev" ? undefined : ["MALL_MASTER_KEY"]);
      }
    }
  });

  test("ask for the secrets of QStash where it carries the events", async () => {
    const production = { ...deployment.production, vars: { BUS: "qstash" } };
    const required = (name: WorkerName, environment: string) => {
      const config = wranglerConfig(name, undefined, { ...deployment, production });
      return (sectionOf(config as Config, environment) as { secrets?: { required: string[] } }).secrets
        ?.required;
    };
    const secrets = ["QSTASH_TOKEN", "QSTASH_CURRENT_SIGNING_KEY", "QSTASH_NEXT_SIGNING_KEY"];
    expect(required("user", "production")).toEqual(["MALL_MASTER_KEY", ...secrets]);
    expect(required("user", "test")).toEqual(["MALL_MASTER_KEY"]);
    expect(required("gateway", "production")).toEqual(["MALL_MASTER_KEY"]);
  });

  test("ask auth for the secret of the mail provider where one sends mails", () => {
    const production = { ...deployment.production, vars: { MAILER: "http" } };
    const secretsOf = (name: WorkerName) => {
      const config = wranglerConfig(name, undefined, { ...deployment, production });
      return (sectionOf(config as Config, "production") as { secrets?: { required: string[] } }).secrets;
    };
    expect(secretsOf("auth")).toEqual({ required: ["MALL_MASTER_KEY", "MAILER_TOKEN"] });
    expect(secretsOf("user")).toEqual({ required: ["MALL_MASTER_KEY"] });
  });

  test("ask those who use a Redis for its token where there is one", () => {
    const production = {
      ...deployment.production,
      vars: { UPSTASH_REDIS_REST_URL: "https://eu1.upstash.io" },
    };
    const secretsOf = (name: WorkerName) => {
      const config = wranglerConfig(name, undefined, { ...deployment, production });
      return (sectionOf(config as Config, "production") as { secrets?: { required: string[] } }).secrets;
    };
    for (const name of ["auth", "cart", "gateway"] as const)
      expect(secretsOf(name)).toEqual({ required: ["MALL_MASTER_KEY", "UPSTASH_REDIS_REST_TOKEN"] });
    expect(secretsOf("user")).toEqual({ required: ["MALL_MASTER_KEY"] });
  });

  test("put services where their database is, and give the gateway a binding for each of its limits", async () => {
    const ids = new Set<string>();
    for (const name of workerNames) {
      const config = (await fileOf(name)) as Config & { placement?: { mode: string } };
      expect(config.placement).toEqual(name === "gateway" ? undefined : { mode: "smart" });
      for (const environment of environmentNames) {
        const { ratelimits } = sectionOf(config, environment) as {
          ratelimits?: { name: string; namespace_id: string; simple: object }[];
        };
        const names = ratelimits?.map((limit) => limit.name);
        const all = ["ADDRESS", "USER", "PROVIDER", "LOGIN", "CHECKOUT"].map((limit) => `LIMIT_${limit}`);
        expect(names).toEqual(name === "gateway" ? all : undefined);
        for (const limit of ratelimits ?? []) ids.add(limit.namespace_id);
        const login = ratelimits?.find((limit) => limit.name === "LIMIT_LOGIN");
        if (login) expect(login.simple).toEqual({ limit: 40, period: 60 });
      }
    }
    expect(ids.size).toBe(5 * environmentNames.length);
  });

  test("show only the gateway to the internet", async () => {
    for (const name of workerNames) {
      const config = await fileOf(name);
      expect([config.workers_dev, config.preview_urls]).toEqual([name === "gateway", false]);
    }
  });

  test("hold no secret", async () => {
    for (const name of workerNames)
      expect(JSON.stringify(await fileOf(name))).not.toMatch(/MASTER_KEY":|postgres:/);
  });
});

test("Workers deploy after those they call", () => {
  const order = deployOrder();
  expect([...order].sort()).toEqual([...workerNames].sort());
  expect(order.at(-1)).toBe("gateway");
  for (const name of workerNames) {
    for (const callee of calls[name]) expect(order.indexOf(callee)).toBeLessThan(order.indexOf(name));
  }
});

test("a first deploy binds only what is already there, and everything in the end", () => {
  const there = new Set<string>();
  const bound = new Map<string, string[]>();
  for (const { name, bindings } of deploySteps(true)) {
    for (const to of bindings) expect(there).toContain(to);
    there.add(name);
    bound.set(name, bindings);
  }
  for (const name of workerNames) expect(bound.get(name)).toEqual(bindingsOf(name));
});

test("a Worker beyond its budget is not deployed, nor one of unknown size", () => {
  expect(() => checkWeight("order", "900.00 KiB / gzip: 299.99 KiB")).not.toThrow();
  expect(() => checkWeight("order", "900.00 KiB / gzip: 300.01 KiB")).toThrow("order weighs");
  expect(() => checkWeight("gateway", "400.00 KiB / gzip: 200.00 KiB")).toThrow("gateway weighs");
  expect(() => checkWeight("order", "")).toThrow("order weighs");
});

import { expect, test } from "bun:test";
import { createKernel } from "../app";
import { baseEnv, type EnvSource, parseEnv } from "../env";
import { bunResources, hostBus } from "../host/bun";
import { staticRegistry } from "../registry/static";
import { qstashSettings } from "./settings";

const database = { DATABASE_URL: "postgres://nobody@127.0.0.1:1/none" };

/** What a process of a service says when it starts with an environment. */
function started(env: EnvSource): string {
  try {
    const resources = bunResources("user", { ...database, ...env }, staticRegistry(env), hostBus(env));
    createKernel("user", resources, parseEnv(baseEnv, env));
    return "started";
  } catch (error) {
    return (error as Error).message;
  }
}

const qstash = {
  BUS: "qstash",
  QSTASH_TOKEN: "token",
  QSTASH_CURRENT_SIGNING_KEY: "sig_1",
  QSTASH_NEXT_SIGNING_KEY: "sig_2",
};

test("a bus starts with its secrets, and without them a sentence names each that is missing", () => {
  expect(started({})).toBe("started");
  expect(started(qstash)).toBe("started");
  expect(started({ BUS: "rabbitmq", RABBITMQ_URL: "amqp://127.0.0.1:1" })).toBe("started");
  for (const name of ["QSTASH_TOKEN", "QSTASH_CURRENT_SIGNING_KEY", "QSTASH_NEXT_SIGNING_KEY"])
    expect(started({ ...qstash, [name]: "" })).toContain(`${name}: must be set when BUS is qstash`);
  expect(started({ BUS: "rabbitmq" })).toContain("RABBITMQ_URL: must be set when BUS is rabbitmq");
  expect(started({ BUS: "kafka" })).toContain("BUS");
});

test("a host that has no driver for the bus says so", () => {
  const env = { BUS: "rabbitmq", RABBITMQ_URL: "amqp://127.0.0.1:1" };
  const resources = bunResources("user", { ...database, ...env }, staticRegistry(env));
  expect(() => createKernel("user", resources, parseEnv(baseEnv, env))).toThrow(
    "this host cannot run rabbitmq",
  );
});

test("QStash is told addresses without a double slash", () => {
  const settings = qstashSettings(parseEnv(baseEnv, { ...qstash, PUBLIC_URL: "https://shop.example.com/" }));
  expect(settings?.publicUrl).toBe("https://shop.example.com");
});

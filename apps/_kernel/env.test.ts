import { describe, expect, test } from "bun:test";
import { baseEnv, type EnvSource, parseEnv } from "./env";

test("development starts with nothing set", () => {
  expect(parseEnv(baseEnv, {}).MALL_ENV).toBe("dev");
});

test("every wrong variable is named at once", () => {
  expect(() => parseEnv(baseEnv, { LOG_LEVEL: "loud", CURRENCY: "dollars" })).toThrow(
    /LOG_LEVEL[\s\S]*CURRENCY/,
  );
});

describe("production", () => {
  const newSecret = (bytes = 32) =>
    Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString("hex");
  const key = newSecret();
  const start = (env: EnvSource) => () =>
    parseEnv(baseEnv, { MALL_ENV: "production", MALL_MASTER_KEY: key, ...env });

  const development = parseEnv(baseEnv, {}).MALL_MASTER_KEY;
  const bad: [string, string | undefined][] = [
    ["is missing", undefined],
    ["is empty", ""],
    ["is that of development", development],
    ["is short", newSecret(15)],
    ["is one character again and again", "x".repeat(64)],
    ["is a few characters again and again", "abcd".repeat(16)],
    ["is that of an example", `changeme-${key}`],
    ["is good, with one that is short", `${key},${newSecret(4)}`],
    ["is good, with an empty one", `${key},`],
    ["is good, with that of development", `${key},${development}`],
  ];
  test.each(bad)("refuses a master key that %s, and names it without quoting it", (_what, given) => {
    const refused = start({ MALL_MASTER_KEY: given });
    expect(refused).toThrow("MALL_MASTER_KEY: ");
    for (const secret of given?.split(",").filter((text) => text.length > 8) ?? [])
      expect(refused).toThrow(new RegExp(`^(?![^]*${secret})`));
  });

  test("takes keys of its own", () => {
    for (const given of [key, `${newSecret()},${key}`])
      expect(start({ MALL_MASTER_KEY: given })().MALL_MASTER_KEY).toBe(given);
  });

  test.each([
    ["DATABASE_URL", "postgres://postgres:postgres@db/mall"],
    ["DATABASE_URL", "postgres://mall:mall@db/mall"],
    ["AUTH_DATABASE_URL", "postgres://mall:short@db/mall"],
    ["MIGRATE_DATABASE_URL", "postgres://mall:changeme1234@db/mall"],
    ["RABBITMQ_URL", "amqp://guest:guest@rabbitmq"],
    ["RABBITMQ_URL", "amqp://rabbitmq"],
    ["RABBITMQ_URL", "amqp://mall:@rabbitmq"],
    ["DATABASE_URL", "db/mall"],
  ])("refuses %s %s", (name, url) => expect(start({ [name]: url, BUS: "rabbitmq" })).toThrow(`${name}: `));

  test("takes any address of a broker that it does not use", () =>
    expect(start({ RABBITMQ_URL: "amqp://mall:@rabbitmq" })).not.toThrow());

  test("takes passwords of its own in addresses, and databases that know their client otherwise", () => {
    const password = newSecret(12);
    const database = `postgres://mall:${password}@db/mall`;
    expect(
      start({ DATABASE_URL: database, BUS: "rabbitmq", RABBITMQ_URL: `amqp://mall:${password}@mq` }),
    ).not.toThrow();
    expect(start({ DATABASE_URL: "postgres://mall@db/mall", OTHER_URL: "http://a:b@c" })).not.toThrow();
  });

  test("refuses nothing of this in tests and development", () => {
    for (const MALL_ENV of ["dev", "test"])
      expect(
        start({ MALL_ENV, MALL_MASTER_KEY: "x".repeat(32), BUS: "rabbitmq", RABBITMQ_URL: "amqp://mq" }),
      ).not.toThrow();
  });
});

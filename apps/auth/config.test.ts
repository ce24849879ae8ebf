import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { AuthService } from "@mall/gen/mall/auth/v1/auth_pb";
import { ConfigService } from "@mall/gen/mall/auth/v1/config_pb";
import { PolicyService } from "@mall/gen/mall/auth/v1/policy_pb";
import { breaker } from "@mall/kernel/breaker";
import { openDb } from "@mall/kernel/db/client";
import { processMetrics } from "@mall/kernel/metrics";
import { type Harness, harness } from "@mall/kernel/testing/harness";
import { startTestRedisRest } from "@mall/kernel/testing/redis-rest";
import { reasonOf, refusal } from "@mall/kernel/testing/refusal";
import { getPolicy } from "./application/get-policy";
import { configContract } from "./config/contract";
import { memoryConfig } from "./config/memory";
import { postgresConfig } from "./config/postgres";
import { quickConfig, quickMs } from "./config/quick";
import { redisConfig } from "./config/redis";
import { configStoreOf } from "./config/settings";
import { bunPasswords } from "./password/bun";
import { createAuthService } from "./service";

let mall: Harness;
beforeAll(async () => {
  mall = await harness("auth", (given) =>
    createAuthService(given, bunPasswords({ memoryKib: 64, passes: 1 })),
  );
});
afterAll(() => mall.stop());

async function empty(): Promise<void> {
  const owner = openDb({ url: mall.ownerUrl, max: 1 });
  await owner.sql`delete from auth.config_revisions`;
  await owner.close();
}
const commands = () => mall.client(ConfigService, { service: "mall" });
const gate = () => mall.client(PolicyService, { service: "product" });
const valueIn = async (key: string) =>
  (await commands().getConfig({})).settings.find((setting) => setting.key === key)?.value;

configContract("memory", async () => memoryConfig());
configContract("PostgreSQL", async () => {
  await empty();
  return postgresConfig(mall.db);
});

const redis = await startTestRedisRest();
if (!redis)
  console.warn(
    "SKIPPED: redis-server is not installed, settings in Redis were not tried; infra/install-debian.sh",
  );
afterAll(() => redis?.stop());
const storeAt = (url: string, token: string, timeoutMs = 5_000) =>
  redisConfig({
    ...{ url, token, timeoutMs, key: `test:${crypto.randomUUID()}` },
  });
if (redis)
  configContract("Redis", async () =>
    storeAt(redis.env.UPSTASH_REDIS_REST_URL, redis.env.UPSTASH_REDIS_REST_TOKEN),
  );

describe("settings in a Redis", () => {
  test("are chosen by the environment, which has to say where it is", async () => {
    const made = (env: object) =>
      configStoreOf({ CONFIG_STORE: "redis", UPSTASH_REDIS_REST_TOKEN: "", ...env }, mall.db, {
        log: () => {},
        metrics: processMetrics(),
      });
    expect(() => made({})).toThrow("UPSTASH_REDIS_REST_URL");
    expect(() => made({ UPSTASH_REDIS_REST_URL: "http://127.0.0.1:1" })).toThrow("UPSTASH_REDIS_REST_TOKEN");
    if (!redis) return;
    const { config: store } = made(redis.env);
    expect(await store.add({ revision: 1, at: new Date(0), author: "a", changes: {}, values: {} })).toBe(
      true,
    );
    expect((await store.newest())?.author).toBe("a");
  });

  test("that hangs leave the gates with what they know, and are waited for three times", async () => {
    const hanging = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    try {
      const config = storeAt(`http://127.0.0.1:${hanging.port}`, "t", 300);
      const gateConfig = quickConfig(config, breaker({ failuresMax: 3, pauseMs: 60_000 }));
      const waitsMs: number[] = [];
      for (let i = 0; i < 8; i++) {
        const atMs = performance.now();
        const news = await getPolicy({ db: mall.db, clock: mall.clock, gateConfig })({});
        waitsMs.push(performance.now() - atMs);
        expect([news.config, news.changed?.policy.revision]).toEqual([undefined, 0n]);
      }
      expect(waitsMs.filter((ms) => ms > quickMs - 10)).toHaveLength(3);
      expect(
        await refusal(config.add({ revision: 1, at: new Date(), author: "a", changes: {}, values: {} })),
      ).toEqual({ code: "Unavailable", reason: "SERVICE_UNAVAILABLE" });
    } finally {
      hanging.stop(true);
    }
  });
});

describe("settings", () => {
  test("are what the environment says until one is set, and again when it is reset", async () => {
    await empty();
    expect(await valueIn("log.level")).toBeUndefined();
    await commands().setConfig({ key: "log.level", value: "silent" });
    expect(await valueIn("log.level")).toBe("silent");
    await commands().resetConfig({ key: "log.level" });
    expect(await valueIn("log.level")).toBeUndefined();
  });

  test("take what they can read, and nothing changes by anything else", async () => {
    await empty();
    for (const [key, value] of [
      ["log.level", "loud"],
      ["checkout.open", "TRUE"],
      ["checkout.concurrency", "0"],
      ["checkout.concurrency", "10001"],
      ["checkout.concurrency", "1.5"],
      ["checkout.concurrency", "0x10"],
      ["checkout.concurrency", " 7"],
    ] as const)
      expect(await reasonOf(commands().setConfig({ key, value }))).toBe("VALIDATION");
    expect(await reasonOf(commands().setConfig({ key: "no.such", value: "1" }))).toBe("SETTING_NOT_FOUND");
    expect(await reasonOf(commands().resetConfig({ key: "to.string" }))).toBe("SETTING_NOT_FOUND");
    expect((await commands().getConfig({})).revision).toBe(0);
  });

  test("have a history with author, and go back to any revision by a new one", async () => {
    await empty();
    await commands().setConfig({ key: "checkout.open", value: "false" });
    await commands().setConfig({ key: "checkout.concurrency", value: "7" });
    await commands().setConfig({ key: "checkout.concurrency", value: "7" });
    await commands().setConfig({ key: "checkout.concurrency", value: "9" });
    expect(await commands().rollbackConfig({ revision: 1 })).toMatchObject({ revision: 4 });
    expect([await valueIn("checkout.open"), await valueIn("checkout.concurrency")]).toEqual([
      "false",
      undefined,
    ]);
    const first = await commands().listConfigHistory({ pageSize: 3 });
    const rest = await commands().listConfigHistory({ pageSize: 3, pageToken: first.nextPageToken });
    const told = [...first.revisions, ...rest.revisions].map(({ revision, author, changes }) => [
      ...[revision, author],
      ...changes.map(({ key, value }) => `${key}=${value}`),
    ]);
    expect(told).toEqual([
      [4, "command", "checkout.concurrency=undefined"],
      [3, "command", "checkout.concurrency=9"],
      [2, "command", "checkout.concurrency=7"],
      [1, "command", "checkout.open=false"],
    ]);
    expect(rest.nextPageToken).toBe("");
    await commands().rollbackConfig({ revision: 0 });
    expect(await valueIn("checkout.open")).toBeUndefined();
    expect(await reasonOf(commands().rollbackConfig({ revision: 99 }))).toBe("REVISION_NOT_FOUND");
    const events = await mall.audit({ action: "RollbackConfig" });
    expect(events.map(({ subject, metadata }) => `${subject} ${metadata.revision}`).sort()).toEqual([
      "0 5",
      "1 4",
    ]);
  });

  test("that many change at once all come to be, one after the other", async () => {
    await empty();
    const values = Array.from({ length: 8 }, (_, n) => String(n + 1));
    await Promise.all(values.map((value) => commands().setConfig({ key: "checkout.concurrency", value })));
    const { revisions } = await commands().listConfigHistory({ pageSize: 100 });
    expect(revisions.map(({ revision }) => revision)).toEqual([8, 7, 6, 5, 4, 3, 2, 1]);
    const set = revisions.map(({ changes }) => changes[0]!.value!);
    expect(set.toSorted()).toEqual(values);
    expect(await valueIn("checkout.concurrency")).toBe(set[0]!);
  });

  test("reach the gates once, and only who does not know them", async () => {
    await empty();
    expect((await gate().getPolicy({})).config).toBeUndefined();
    await commands().setConfig({ key: "checkout.open", value: "false" });
    const { config } = await gate().getPolicy({});
    expect(config).toMatchObject({ revision: 1, values: { "checkout.open": "false" } });
    expect((await gate().getPolicy({ knownConfigRevision: 1 })).config).toBeUndefined();
  });

  test("of which auth reads its own: no accounts are made while registration is closed", async () => {
    await empty();
    const register = () =>
      refusal(
        mall
          .client(AuthService)
          .register({ email: `a${Math.random()}@example.com`, password: "correct horse battery" }),
      );
    expect(await register()).toEqual({});
    await commands().setConfig({ key: "registration.open", value: "false" });
    expect(await register()).toEqual({ code: "FailedPrecondition", reason: "REGISTRATION_CLOSED" });
    await commands().setConfig({ key: "registration.open", value: "true" });
    expect(await register()).toEqual({});
  });

  test("that cannot be read leave the gates with what they know", async () => {
    await empty();
    const away = { ...memoryConfig(), newest: () => Promise.reject(new Error("away")) };
    const news = await getPolicy({ db: mall.db, clock: mall.clock, gateConfig: away })({});
    expect([news.config, news.changed?.policy.revision]).toEqual([undefined, 0n]);
  });
});

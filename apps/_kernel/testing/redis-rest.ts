import { freePorts } from "./ports";
import { startRedis, type TestRedis } from "./redis";

/** A Redis behind Upstash's REST protocol: `infra/redis-rest` before Debian's redis-server. */
export interface TestRedisRest {
  redis: TestRedis;
  /** What a process needs in its environment to use it. */
  env: { UPSTASH_REDIS_REST_URL: string; UPSTASH_REDIS_REST_TOKEN: string };
  /** Every key with its value, as Redis serializes it. */
  dumped(): Promise<string>;
  stop(): Promise<void>;
}

/** Starts one; undefined where redis-server is not installed. */
export async function startTestRedisRest(): Promise<TestRedisRest | undefined> {
  const redis = await startRedis();
  if (!redis) return undefined;
  const [port] = (await freePorts(1)) as [number];
  const token = crypto.randomUUID();
  const url = `http://127.0.0.1:${port}`;
  const own = { REDIS_URL: redis.url, UPSTASH_REDIS_REST_TOKEN: token, PORT: String(port) };
  const rest = Bun.spawn(["bun", new URL("../../../infra/redis-rest/main.ts", import.meta.url).pathname], {
    ...{ env: { ...process.env, ...own }, stdout: "ignore", stderr: "inherit" },
  });
  const ask = async (...command: string[]): Promise<unknown> => {
    const headers = { authorization: `Bearer ${token}` };
    const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(command) });
    return ((await response.json()) as { result: unknown }).result;
  };
  const isThere = () =>
    ask("PING").then(
      (result) => result === "PONG",
      () => false,
    );
  for (const untilMs = Date.now() + 30_000; !(await isThere()); await Bun.sleep(50))
    if (Date.now() > untilMs) throw new Error("infra/redis-rest did not start");
  return {
    redis,
    env: { UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token },
    async dumped() {
      const keys = (await ask("KEYS", "*")) as string[];
      const values = await Promise.all(keys.map((key) => ask("DUMP", key)));
      return keys.map((key, n) => `${key} ${values[n]}`).join("\n");
    },
    async stop() {
      rest.kill();
      await rest.exited;
      await redis.stop();
    },
  };
}

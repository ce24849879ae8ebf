import { startRedisRest } from "./server";

/*
 * bun infra/redis-rest/main.ts    Upstash's REST protocol over a Redis, until it is told to stop
 * REDIS_URL is the Redis, UPSTASH_REDIS_REST_TOKEN what clients show; PORT (8079) and HOST (127.0.0.1) where it listens.
 */
const { env } = process;
const token = env.UPSTASH_REDIS_REST_TOKEN ?? "";
const rest = startRedisRest({
  redisUrl: env.REDIS_URL ?? "redis://127.0.0.1:6379",
  token,
  port: Number(env.PORT ?? 8079),
  hostname: env.HOST,
});
console.log(`UPSTASH_REDIS_REST_URL=${rest.url}`);
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => void rest.stop().then(() => process.exit(0)));

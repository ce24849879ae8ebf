import { type Watch, watchedBreaker } from "@mall/kernel/breaker";
import type { Session } from "@mall/kernel/db/client";
import { incompleteEnv, type UpstashEnv } from "@mall/kernel/env";
import { upstashOf } from "@mall/kernel/redis/address";
import type { ConfigStore } from "./port";
import { postgresConfig } from "./postgres";
import { quickConfig } from "./quick";
import { redisConfig } from "./redis";

/** The store that the environment names, and as gates look at it. Throws Error naming what is not set. */
export function configStoreOf(
  env: UpstashEnv & { CONFIG_STORE: "postgres" | "redis" },
  session: Session,
  watch: Watch,
): { config: ConfigStore; gateConfig: Pick<ConfigStore, "newest"> } {
  if (env.CONFIG_STORE === "postgres") {
    const config = postgresConfig(session);
    return { config, gateConfig: config };
  }
  const redis = upstashOf(env, 2_000);
  if (!redis) throw incompleteEnv(["UPSTASH_REDIS_REST_URL: must be set with CONFIG_STORE=redis"]);
  const config = redisConfig(redis);
  const breaker = watchedBreaker(watch, "config", { failuresMax: 3, pauseMs: 2_000 });
  return { config, gateConfig: quickConfig(config, breaker) };
}

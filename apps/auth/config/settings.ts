import { type Watch, watchedBreaker } from "@mall/kernel/breaker";
import { upstashOf } from "@mall/kernel/cache/settings";
import type { Session } from "@mall/kernel/db/client";
import { incompleteEnv, type UpstashEnv } from "@mall/kernel/env";
import type { ConfigStore } from "./port";
import { postgresConfig } from "./postgres";
import { redisConfig } from "./redis";

/** Less than those who ask for the policy, which comes along with the settings, wait for it. */
const timeoutMs = 300;

/** The store that the environment names. Throws Error naming what is not set. */
export function configStoreOf(
  env: UpstashEnv & { CONFIG_STORE: "postgres" | "redis" },
  session: Session,
  watch: Watch,
): ConfigStore {
  if (env.CONFIG_STORE === "postgres") return postgresConfig(session);
  const redis = upstashOf(env);
  if (!redis) throw incompleteEnv(["UPSTASH_REDIS_REST_URL: must be set with CONFIG_STORE=redis"]);
  return redisConfig({
    ...{ ...redis, timeoutMs, breaker: watchedBreaker(watch, "config", { failuresMax: 3, pauseMs: 2_000 }) },
  });
}

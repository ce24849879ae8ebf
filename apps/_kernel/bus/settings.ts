import { type BaseEnv, incompleteEnv } from "../env";
import type { QStashSettings } from "./qstash";

/** Throws one Error that names every variable of these that is not set. */
function demand(env: BaseEnv, names: readonly (keyof BaseEnv)[]): void {
  const missing = names.filter((name) => !env[name]);
  if (missing.length > 0)
    throw incompleteEnv(missing.map((name) => `${name}: must be set when BUS is ${env.BUS}`));
}

/** How QStash is used; undefined when another bus is. Throws Error naming what is not set. */
export function qstashSettings(env: BaseEnv): QStashSettings | undefined {
  if (env.BUS !== "qstash") return undefined;
  demand(env, ["QSTASH_TOKEN", "QSTASH_CURRENT_SIGNING_KEY", "QSTASH_NEXT_SIGNING_KEY"]);
  return {
    url: env.QSTASH_URL,
    token: env.QSTASH_TOKEN,
    currentSigningKey: env.QSTASH_CURRENT_SIGNING_KEY,
    nextSigningKey: env.QSTASH_NEXT_SIGNING_KEY,
    publicUrl: env.PUBLIC_URL.replace(/\/$/, ""),
    backoffMs: env.EVENT_BACKOFF_MS,
  };
}

/** The address of RabbitMQ; undefined when another bus is used. Throws Error when it is not set. */
export function rabbitmqUrl(env: BaseEnv): string | undefined {
  if (env.BUS !== "rabbitmq") return undefined;
  demand(env, ["RABBITMQ_URL"]);
  return env.RABBITMQ_URL;
}

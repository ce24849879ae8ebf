import * as z from "zod/mini";
import { masterKeysOf } from "./crypto/derive";
import {
  choice,
  metaOf,
  number,
  optionalUrl,
  optionalWhole,
  requiredSecret,
  secretText,
  text,
  textLike,
  url,
  whole,
} from "./env-fields";
import { flawOfPasswordIn, flawOfSecret } from "./secret";

/** Raw environment: process.env on Bun, the bindings of type string on Workers. */
export type EnvSource = Record<string, string | undefined>;

const devMasterKey = "development-only-master-key-not-for-production";

/** Variables every service understands. Each service's env.ts extends them; the README table is made from both. */
export const baseEnv = z.object({
  MALL_ENV: choice(["dev", "test", "production"], "dev", "Profile."),
  MALL_MASTER_KEY: requiredSecret(
    32,
    devMasterKey,
    {
      isGood: (keys) => masterKeysOf(keys).every((key) => key.length >= 32),
      error: "each key must have at least 32 characters",
    },
    "Secret of at least 32 characters that seals keys and derives secrets; after a change a comma list, the newest first. Must be set in production.",
  ),
  LOG_LEVEL: choice(["debug", "info", "warn", "error", "silent"], "info", "Least level that is logged."),
  PUBLIC_URL: text("Address of the gateway as clients see it.", "http://localhost:8080"),
  CURRENCY: textLike(/^[A-Z]{3}$/, "USD", "ISO 4217 code of all prices."),
  SWEEP_INTERVAL_MS: whole(
    { min: 100, max: 60_000 },
    1000,
    "Milliseconds between two sweeps (outbox relay, unfinished checkouts).",
  ),
  BUS: choice(
    ["local", "qstash", "rabbitmq"],
    "local",
    "What carries events: calls between services, QStash, or RabbitMQ (not on Workers).",
  ),
  QSTASH_URL: url("https://qstash.upstash.io", "Address of QStash."),
  QSTASH_TOKEN: secretText(16, "Token that publishes on QStash; needed by BUS=qstash."),
  QSTASH_CURRENT_SIGNING_KEY: secretText(
    16,
    "Key that QStash signs its deliveries with; needed by BUS=qstash.",
  ),
  QSTASH_NEXT_SIGNING_KEY: secretText(
    16,
    "Key that QStash will sign with after a rotation; needed by BUS=qstash.",
  ),
  RABBITMQ_URL: text("Address of RabbitMQ, as amqp://user:password@host/vhost; needed by BUS=rabbitmq."),
  REGISTRY: choice(
    ["static", "redis"],
    "static",
    "How processes find each other: by <SVC>_URL, or by announcing themselves in Redis.",
  ),
  REDIS_URL: text("Address of Redis, as redis://user:password@host:port; needed by REGISTRY=redis."),
  ADVERTISED_URL: text(
    "Origin at which other processes reach this one; the machine's first address when empty.",
  ),
  TLS_CA: text(
    "File with the authorities (PEM) whose certificates other processes are believed by; with the next two, turns on mutual TLS (not on Workers).",
  ),
  TLS_CERT: text("File with the certificate of this service."),
  TLS_KEY: text("File with its private key, which nobody else may read."),
  ADMIN_PORT: optionalWhole(
    { min: 1, max: 65_535 },
    "Port of /metrics (Prometheus), for operators only; none when empty. Not on Workers, and another one for each process.",
  ),
  CALLS_IN_FLIGHT_MAX: whole(
    { min: 1 },
    128,
    "Requests of one process that may wait for one service; what comes beyond gets 503 OVERLOADED.",
  ),
  DRAIN_SECONDS: number(
    { min: 0, max: 60 },
    3,
    "Seconds a process that was told to end still takes requests, until its callers know.",
  ),
  EVENT_BACKOFF_MS: whole(
    { min: 1, max: 60_000 },
    1000,
    "Milliseconds before an event is delivered again that its consumer refused; grows with each time.",
  ),
  IDEMPOTENCY_TTL_SECONDS: whole(
    { min: 86_400 },
    86_400,
    "Seconds an answer is kept for its Idempotency-Key; at least a day.",
  ),
});

/** Variables of those that use a Redis over REST. */
export const upstashEnv = {
  UPSTASH_REDIS_REST_URL: optionalUrl(
    "Upstash Redis, or a Redis behind its REST protocol, that all instances count requests and keep a cache in.",
  ),
  UPSTASH_REDIS_REST_TOKEN: secretText(16, "Token of UPSTASH_REDIS_REST_URL, which needs it."),
};

export type UpstashEnv = z.infer<z.ZodMiniObject<typeof upstashEnv>>;

/** Configuration common to all services. */
export type BaseEnv = z.infer<typeof baseEnv>;

/** Why a process does not start; each line names a variable and what it lacks. */
export const incompleteEnv = (lines: readonly string[]): Error =>
  new Error(`The environment is not complete:\n${lines.map((line) => `  ${line}`).join("\n")}`);

/** What is wrong with the secrets of a parsed environment, a line each. */
const flawsOfSecrets = (schema: z.ZodMiniObject, parsed: Record<string, unknown>): string[] =>
  Object.entries(schema.shape).flatMap(([name, field]) => {
    const charactersMin = metaOf(field).secretCharactersMin;
    const value = parsed[name] as string | undefined;
    if (charactersMin === undefined || !value) return [];
    return value.split(",").flatMap((secret) => {
      const flaw = flawOfSecret(secret.trim(), charactersMin);
      return flaw ? [`${name}: ${flaw}`] : [];
    });
  });

/** What is wrong with the passwords in addresses of databases, and of the broker where it is used, a line each. */
const flawsOfAddresses = (source: EnvSource): string[] =>
  Object.entries(source).flatMap(([name, url]) => {
    const isUsed =
      /(?:^|_)DATABASE_URL$/.test(name) || (name === "RABBITMQ_URL" && source.BUS === "rabbitmq");
    if (!url || !isUsed) return [];
    const flaw = flawOfPasswordIn(url, name === "RABBITMQ_URL");
    return flaw ? [`${name}: ${flaw}`] : [];
  });

/**
 * Parses an environment once, in the composition root. Throws one Error whose message names every variable that is
 * missing or wrong, and in production every secret that is missing, well known, too short or the same few characters; it
 * never quotes one.
 */
export function parseEnv<T extends z.ZodMiniObject & z.ZodMiniType<BaseEnv>>(
  schema: T,
  source: EnvSource,
): z.infer<T> {
  const given = Object.fromEntries(
    Object.entries(source).filter(([, value]) => value !== undefined && value !== ""),
  );
  const parsed = schema.safeParse(given);
  if (!parsed.success) {
    throw incompleteEnv(parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`));
  }
  if (parsed.data.MALL_ENV !== "production") return parsed.data;
  const flaws = [...flawsOfSecrets(schema, parsed.data), ...flawsOfAddresses(given)];
  if (flaws.length > 0) throw incompleteEnv([...new Set(flaws)]);
  return parsed.data;
}

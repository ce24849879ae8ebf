import * as z from "zod";
import { masterKeysOf } from "./crypto/derive";
import { flawOfPasswordIn, flawOfSecret } from "./secret";

/** Raw environment: process.env on Bun, the bindings of type string on Workers. */
export type EnvSource = Record<string, string | undefined>;

const devMasterKey = "development-only-master-key-not-for-production";

/** A variable that holds a secret, empty when it is not needed; production takes none with fewer characters. */
export const secretText = (charactersMin: number, description: string) =>
  z.string().default("").meta({ description, secretCharactersMin: charactersMin });

/** Variables every service understands. Each service's env.ts extends them; the README table is made from both. */
export const baseEnv = z.object({
  MALL_ENV: z.enum(["dev", "test", "production"]).default("dev").describe("Profile."),
  MALL_MASTER_KEY: z
    .string()
    .refine((text) => masterKeysOf(text).every((key) => key.length >= 32), {
      error: "each key must have at least 32 characters",
    })
    .default(devMasterKey)
    .meta({
      description:
        "Secret of at least 32 characters that seals keys and derives secrets; after a change a comma list, the newest first. Must be set in production.",
      secretCharactersMin: 32,
    }),
  LOG_LEVEL: z
    .enum(["debug", "info", "warn", "error", "silent"])
    .default("info")
    .describe("Least level that is logged."),
  PUBLIC_URL: z
    .string()
    .default("http://localhost:8080")
    .describe("Address of the gateway as clients see it."),
  CURRENCY: z
    .string()
    .regex(/^[A-Z]{3}$/)
    .default("USD")
    .describe("ISO 4217 code of all prices."),
  SWEEP_INTERVAL_MS: z.coerce
    .number()
    .int()
    .min(100)
    .max(60_000)
    .default(1000)
    .describe("Milliseconds between two sweeps (outbox relay, unfinished checkouts)."),
  BUS: z
    .enum(["local", "qstash", "rabbitmq"])
    .default("local")
    .describe("What carries events: calls between services, QStash, or RabbitMQ (not on Workers)."),
  QSTASH_URL: z.url().default("https://qstash.upstash.io").describe("Address of QStash."),
  QSTASH_TOKEN: secretText(16, "Token that publishes on QStash; needed by BUS=qstash."),
  QSTASH_CURRENT_SIGNING_KEY: secretText(
    16,
    "Key that QStash signs its deliveries with; needed by BUS=qstash.",
  ),
  QSTASH_NEXT_SIGNING_KEY: secretText(
    16,
    "Key that QStash will sign with after a rotation; needed by BUS=qstash.",
  ),
  RABBITMQ_URL: z
    .string()
    .default("")
    .describe("Address of RabbitMQ, as amqp://user:password@host/vhost; needed by BUS=rabbitmq."),
  REGISTRY: z
    .enum(["static", "redis"])
    .default("static")
    .describe("How processes find each other: by <SVC>_URL, or by announcing themselves in Redis."),
  REDIS_URL: z
    .string()
    .default("")
    .describe("Address of Redis, as redis://user:password@host:port; needed by REGISTRY=redis."),
  ADVERTISED_URL: z
    .string()
    .default("")
    .describe("Origin at which other processes reach this one; the machine's first address when empty."),
  TLS_CA: z
    .string()
    .default("")
    .describe(
      "File with the authorities (PEM) whose certificates other processes are believed by; with the next two, turns on mutual TLS (not on Workers).",
    ),
  TLS_CERT: z.string().default("").describe("File with the certificate of this service."),
  TLS_KEY: z.string().default("").describe("File with its private key, which nobody else may read."),
  ADMIN_PORT: z.coerce
    .number()
    .int()
    .min(0)
    .max(65_535)
    .optional()
    .describe(
      "Port of /metrics (Prometheus), for operators only; none when empty. Not on Workers, and another one for each process.",
    ),
  CALLS_IN_FLIGHT_MAX: z.coerce
    .number()
    .int()
    .min(1)
    .default(128)
    .describe(
      "Requests of one process that may wait for one service; what comes beyond gets 503 OVERLOADED.",
    ),
  DRAIN_SECONDS: z.coerce
    .number()
    .min(0)
    .max(60)
    .default(3)
    .describe("Seconds a process that was told to end still takes requests, until its callers know."),
  EVENT_BACKOFF_MS: z.coerce
    .number()
    .int()
    .min(1)
    .max(60_000)
    .default(1000)
    .describe(
      "Milliseconds before an event is delivered again that its consumer refused; grows with each time.",
    ),
  IDEMPOTENCY_TTL_SECONDS: z.coerce
    .number()
    .int()
    .min(86_400)
    .default(86_400)
    .describe("Seconds an answer is kept for its Idempotency-Key; at least a day."),
});

/** Variables of those that use a Redis over REST. */
export const upstashEnv = {
  UPSTASH_REDIS_REST_URL: z
    .url()
    .optional()
    .describe(
      "Upstash Redis, or a Redis behind its REST protocol, that all instances count requests and keep a cache in.",
    ),
  UPSTASH_REDIS_REST_TOKEN: secretText(16, "Token of UPSTASH_REDIS_REST_URL, which needs it."),
};

export type UpstashEnv = z.infer<z.ZodObject<typeof upstashEnv>>;

/** Configuration common to all services. */
export type BaseEnv = z.infer<typeof baseEnv>;

/** Why a process does not start; each line names a variable and what it lacks. */
export const incompleteEnv = (lines: readonly string[]): Error =>
  new Error(`The environment is not complete:\n${lines.map((line) => `  ${line}`).join("\n")}`);

/** What is wrong with the secrets of a parsed environment, a line each. */
const flawsOfSecrets = (schema: z.ZodObject, parsed: Record<string, unknown>): string[] =>
  Object.entries(schema.shape).flatMap(([name, field]) => {
    const charactersMin = (field as z.ZodType).meta()?.secretCharactersMin as number | undefined;
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
export function parseEnv<T extends z.ZodObject & z.ZodType<BaseEnv>>(
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

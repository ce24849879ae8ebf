import { startQStash } from "./server";

/*
 * bun infra/qstash/main.ts    a stand-in for QStash, until it is told to stop
 * PORT, QSTASH_TOKEN, QSTASH_CURRENT_SIGNING_KEY and QSTASH_NEXT_SIGNING_KEY are what they say; QSTASH_FILE is the
 * SQLite file that outlives it, QSTASH_SPEED shortens the waiting between retries, QSTASH_RETRIES_MAX is the plan's.
 */
const { env } = process;
const qstash = startQStash({
  port: Number(env.PORT ?? 8089),
  file: env.QSTASH_FILE,
  token: env.QSTASH_TOKEN,
  currentSigningKey: env.QSTASH_CURRENT_SIGNING_KEY,
  nextSigningKey: env.QSTASH_NEXT_SIGNING_KEY,
  speed: Number(env.QSTASH_SPEED ?? 1),
  retriesMax: Number(env.QSTASH_RETRIES_MAX ?? 5),
});
const { current, next } = qstash.keys();
console.log(`QSTASH_URL=${qstash.url}
QSTASH_TOKEN=${qstash.token}
QSTASH_CURRENT_SIGNING_KEY=${current}
QSTASH_NEXT_SIGNING_KEY=${next}`);
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => void qstash.stop().then(() => process.exit(0)));

import type { TestRedisRest } from "@mall/kernel/testing/redis-rest";
import { must, type Result } from "../../proof";
import { shopping } from "../deeds";
import { failuresOf, percentile, type Sample, startLoad } from "../load";
import type { PlatformContext, PlatformProof } from "../proof";

const deadlineMs = 10_000;
/** What a request may wait for Redis, and what a busy machine makes of that. */
const addedMsMax = 50;

/** Half of the reads took no longer than this. */
const half = (samples: readonly Sample[]): number =>
  percentile(
    samples.filter(({ deed }) => deed === "browse"),
    0.5,
  );

async function run({ door, town, random, log, size, pace, redisRest }: PlatformContext): Promise<Result> {
  const { redis } = redisRest!;
  const seconds = size({ short: 8, default: 20, full: 30 });
  const load = startLoad({
    ...{ door, perSecond: pace, random: random.fork("load"), deadlineMs },
    deeds: shopping(town),
  });
  let from = 0;
  const phase = async (what: string): Promise<Sample[]> => {
    await Bun.sleep(seconds * 1_000);
    const samples = load.samples.slice(from);
    from = load.samples.length;
    const failures = failuresOf(samples);
    must(failures.length === 0, () => `Redis ${what}: ${failures.length} requests failed: ${failures[0]}`);
    log(`Redis ${what}: ${samples.length} requests, half of the reads within ${half(samples)} ms`);
    return samples;
  };
  /** A bucket that is full again is not kept, and a breaker may have opened for 2 s on a busy machine. */
  const untilCounted = async (what: string): Promise<void> => {
    const isCounted = async () => (await redisRest!.dumped()).includes("mall:rate:");
    for (const untilMs = Date.now() + 10_000; !(await isCounted()); await Bun.sleep(100))
      must(Date.now() < untilMs, `nothing is counted in Redis when it is ${what}`);
  };
  await phase("is there, and all of it is new");
  const before = await phase("is there");
  await untilCounted("there");
  await redis.kill();
  const dead = await phase("is dead");
  await redis.start();
  await phase("is back, and empty");
  redis.pause();
  const hanging = await phase("hangs");
  redis.resume();
  await phase("is back");
  await untilCounted("back");
  await load.stop();
  for (const [what, samples] of Object.entries({ dead, hanging })) {
    const added = half(samples) - half(before);
    must(added <= addedMsMax, `Redis ${what}: half of the reads waited ${added} ms longer than before`);
  }
  return {
    trials: load.samples.length,
    faults: { "Redis killed": 1, "Redis hung": 1 },
    notes: [
      `0 failed, half of the reads within ${half(before)} ms with Redis, ${half(dead)} ms without, ${half(hanging)} ms while it hangs`,
    ],
  };
}

/** What the mall of this proof finds its rate limits in. */
export const limitsIn = ({ env }: TestRedisRest): Record<string, string> => ({
  ...env,
  // the limits of sign-in and checkout hold for each of the addresses that the front door tells
  ...{ RATE_LIMIT_PER_ADDRESS: "1000", TRUSTED_PROXIES: "1" },
});

/**
 * Redis, which the processes find each other in and count their rate limits in, is killed, comes back empty, and then
 * hangs (SIGSTOP), while customers shop at 50 requests a second: everything they do goes on, no request fails, and half
 * of the reads wait no more than 50 ms longer than before.
 *
 * With the rate limiter asking Redis and nothing else (no guardedLimiter): "Redis is dead: 291 requests failed".
 *
 * Counts (seconds of each phase): short 8, default 20, full 30.
 */
export const redisAway: PlatformProof = { id: 5, name: "Redis dead, then hanging", needsRedis: true, run };

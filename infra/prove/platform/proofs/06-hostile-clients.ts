import { root } from "../../../repository";
import { must, type Result } from "../../proof";
import { browsing, carting } from "../deeds";
import { failuresOf, percentile, type Sample, startLoad } from "../load";
import type { PlatformContext, PlatformProof } from "../proof";

const deadlineMs = 10_000;
const ratioMax = 2;
/** Below this, in milliseconds, a ratio of two times tells of the machine and not of the mall. */
const floorMs = 25;

interface Report {
  /** Connections of each attack. */
  begun: Record<string, number>;
  /** Attacks that were answered as if they were none. */
  answered: Record<string, number>;
}

/** Attacks all gateways from a process of its own, as long as `work` takes. */
async function underAttack<T>({ mall }: PlatformContext, work: () => Promise<T>): Promise<[T, Report]> {
  const ports = mall.gateways.map((url) => new URL(url).port);
  const child = Bun.spawn([process.execPath, "infra/prove/platform/attacker.ts", ...ports], {
    ...{ cwd: root, stdin: "ignore", stdout: "pipe", stderr: "ignore" },
  });
  try {
    // the slow ones have connected, and the first of them have been closed
    await Bun.sleep(2_000);
    const result = await work();
    child.kill("SIGTERM");
    return [result, JSON.parse(await new Response(child.stdout).text()) as Report];
  } finally {
    child.kill("SIGKILL");
  }
}

async function run(context: PlatformContext): Promise<Result> {
  const { door, town, random, log, size, pace } = context;
  const rounds = size({ short: 1, default: 3, full: 6 });
  const seconds = size({ short: 8, default: 12, full: 15 });
  const measured = async (title: string): Promise<readonly Sample[]> => {
    const deeds = [browsing(town), carting(town)];
    const load = startLoad({ door, perSecond: pace, deeds, random: random.fork(title), deadlineMs });
    await Bun.sleep(seconds * 1_000);
    await load.stop();
    const failures = failuresOf(load.samples);
    must(failures.length === 0, () => `${title}: ${failures.length} requests failed: ${failures[0]}`);
    return load.samples;
  };
  await measured("at first");
  const alone: Sample[] = [];
  const attacked: Sample[] = [];
  const faults: Record<string, number> = {};
  for (let round = 0; round < rounds; round++) {
    alone.push(...(await measured(`alone ${round}`)));
    const [samples, { begun, answered }] = await underAttack(context, () => measured(`attacked ${round}`));
    attacked.push(...samples);
    must(Object.keys(answered).length === 0, () => `attacks were let through: ${JSON.stringify(answered)}`);
    for (const [name, count] of Object.entries(begun)) faults[name] = (faults[name] ?? 0) + count;
    log(`p95 ${percentile(alone, 0.95)} ms alone, ${percentile(attacked, 0.95)} ms under attack`);
  }
  const [quiet, loud] = [alone, attacked].map((samples) => Math.max(floorMs, percentile(samples, 0.95)));
  const ratio = loud! / quiet!;
  must(ratio <= ratioMax, `p95 is ${ratio.toFixed(1)} times what it is without attacks`);
  const all = ["slow heads", "slow bodies", "requests in requests", "bodies of a GiB", "gzip bombs"];
  return {
    trials: alone.length + attacked.length,
    faults: Object.fromEntries(all.map((name) => [name, faults[name] ?? 0])),
    notes: [
      `0 failed, p95 ${percentile(alone, 0.95)} ms alone, ${percentile(attacked, 0.95)} ms under attack`,
    ],
  };
}

/**
 * Strangers attack the gateways by bare sockets while customers browse and fill carts at 50 requests a second: 200
 * connections to each that never finish a head or a body, requests that two servers would end in different places, bodies
 * of a GiB without a length, and gzip bombs. No customer's request fails, the time within which 95 of 100 are answered
 * is at most twice what it is without attacks (times below 25 ms count as 25), and no attack is answered with success.
 *
 * With no limit of bodies, neither in Bun.serve nor in receivedBody: "11 requests failed … The product service took too
 * long".
 *
 * Counts (rounds with and without attacks): short 1, default 3, full 6.
 */
export const hostileClients: PlatformProof = { id: 6, name: "Hostile clients", run };

import { untilReady } from "../../../cluster/mall";
import { must, type Result } from "../../proof";
import { shopping } from "../deeds";
import { failuresOf, percentile, startLoad } from "../load";
import type { PlatformContext, PlatformProof } from "../proof";

const deadlineMs = 10_000;

async function run({ mall, door, town, random, log, size, pace }: PlatformContext): Promise<Result> {
  const rounds = size({ short: 1, default: 1, full: 3 });
  const load = startLoad({
    door,
    perSecond: pace,
    deeds: shopping(town),
    random: random.fork("load"),
    deadlineMs,
  });
  const startedMs = performance.now();
  let restarts = 0;
  for (let round = 0; round < rounds; round++) {
    for (const node of mall.nodes) {
      await node.restart();
      await untilReady(node);
      restarts++;
      const failures = failuresOf(load.samples);
      must(
        failures.length === 0,
        () => `${failures.length} requests failed, by ${node.name}: ${failures[0]}`,
      );
    }
    log(`${restarts} processes restarted under ${load.samples.length} requests`);
  }
  const seconds = (performance.now() - startedMs) / 1000;
  await load.stop();
  const failures = failuresOf(load.samples);
  must(failures.length === 0, () => `${failures.length} requests failed: ${failures.slice(0, 3).join("; ")}`);
  const perSecondServed = Math.round(load.samples.length / seconds);
  must(perSecondServed >= 0.9 * pace, `only ${perSecondServed} requests a second were served`);
  return {
    trials: load.samples.length,
    faults: { "processes restarted": restarts },
    notes: [`${perSecondServed} requests/s, 0 failed, p99 ${percentile(load.samples, 0.99)} ms`],
  };
}

/**
 * A rolling restart of every process of every service fails no request. At 50 requests a second customers browse, fill carts, buy,
 * sign in and read what is theirs while one process after the other is told to end (SIGTERM) and starts again; whoever
 * stands in front of the gateways looks at `/readyz`, as nginx or a cloud does.
 *
 * Counts (times each of the 16 processes is restarted): short 1, default 1, full 3.
 */
export const rollingRestart: PlatformProof = { id: 1, name: "Rolling restart", run };

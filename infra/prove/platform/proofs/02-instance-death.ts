import type { NodeService } from "../../../cluster/mall";
import { must, type Result } from "../../proof";
import { shopping } from "../deeds";
import { percentile, type Sample, startLoad } from "../load";
import type { PlatformContext, PlatformProof } from "../proof";

const deadlineMs = 10_000;
const downMs = 4_000;
/** After this nobody may notice that an instance has gone. */
const noticedMsMax = 2_000;

/** Waits until nothing that was sent before has been unanswered. */
const settled = () => Bun.sleep(1_000);

/** A kill, and when it was. */
interface Kill {
  service: NodeService;
  atMs: number;
}

/** Requests that failed although they were sent later than somebody may notice. */
function unexcused(samples: readonly Sample[], kills: readonly Kill[]): Sample[] {
  return samples.filter(
    ({ failure, sentMs }) =>
      failure !== undefined &&
      !kills.some(({ atMs }) => sentMs <= atMs + noticedMsMax && sentMs >= atMs - deadlineMs),
  );
}

async function run({ mall, door, town, random, log, size, pace }: PlatformContext): Promise<Result> {
  const rounds = size({ short: 1, default: 1, full: 3 });
  const load = startLoad({
    door,
    perSecond: pace,
    deeds: shopping(town),
    random: random.fork("load"),
    deadlineMs,
  });
  const kills: Kill[] = [];
  const services = [...new Set(mall.nodes.map(({ service }) => service))];
  for (let round = 0; round < rounds; round++) {
    for (const service of services) {
      const atMs = performance.now();
      await mall.nodesOf(service)[round % 2]!.kill(downMs);
      kills.push({ service, atMs });
      await Bun.sleep(downMs);
      await mall.ready();
      await settled();
    }
    log(`${kills.length} processes killed under ${load.samples.length} requests`);
  }
  await load.stop();
  const failed = load.samples.filter(({ failure }) => failure !== undefined);
  const late = unexcused(load.samples, kills);
  must(late.length === 0, () => `failed without a reason: ${late[0]!.what}: ${late[0]!.failure}`);
  const afterwards = failed.filter(({ sentMs }) =>
    kills.some(({ atMs }) => sentMs > atMs && sentMs <= atMs + noticedMsMax),
  );
  return {
    trials: load.samples.length,
    faults: { "processes killed": kills.length },
    notes: [
      `${failed.length} requests were lost with a process, ${afterwards.length} of them sent after it died`,
      `p99 ${percentile(load.samples, 0.99)} ms`,
    ],
  };
}

/**
 * The death of one of two instances (kill -9) costs what it was working on and nothing else: no request that is sent
 * two seconds later fails, while the instance stays away for four.
 *
 * Counts (times an instance of each of the 8 services is killed): short 1, default 1, full 3.
 */
export const instanceDeath: PlatformProof = { id: 2, name: "Death of an instance", run };

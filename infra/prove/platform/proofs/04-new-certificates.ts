import { issueAll } from "../../../cluster/certificates";
import { must, type Result } from "../../proof";
import { shopping } from "../deeds";
import { failuresOf, percentile, startLoad } from "../load";
import type { PlatformContext, PlatformProof } from "../proof";

const deadlineMs = 10_000;
/** Every process looks at its files every second. */
const seenMs = 3_000;

async function run({ certificates, door, town, random, log, size, pace }: PlatformContext): Promise<Result> {
  const folder = certificates!;
  const rounds = size({ short: 1, default: 3, full: 10 });
  const load = startLoad({
    door,
    perSecond: pace,
    deeds: shopping(town),
    random: random.fork("load"),
    deadlineMs,
  });
  const afterwards = async (what: string) => {
    await Bun.sleep(seenMs);
    const failures = failuresOf(load.samples);
    must(failures.length === 0, () => `${failures.length} requests failed, by ${what}: ${failures[0]}`);
  };
  for (let round = 0; round < rounds; round++) {
    await issueAll(folder);
    await afterwards("new certificates");
    await folder.addAuthority("cluster.mall", new Date());
    await afterwards("a second authority");
    await issueAll(folder);
    await afterwards("certificates of the second authority");
    folder.trustNewest();
    await afterwards("the end of the first authority");
    log(`authority ${folder.authorities()[0]} is trusted alone after ${load.samples.length} requests`);
  }
  await load.stop();
  const failures = failuresOf(load.samples);
  must(failures.length === 0, () => `${failures.length} requests failed: ${failures.slice(0, 3).join("; ")}`);
  return {
    trials: load.samples.length,
    faults: { "certificates changed": 2 * rounds, "authorities changed": rounds },
    notes: [`0 failed, p99 ${percentile(load.samples, 0.99)} ms`],
  };
}

/**
 * Certificates of all processes change, and so does the authority, from old to both to new, while customers
 * shop over processes that talk by mutual TLS: no request fails.
 *
 * Counts (rounds of two changes of certificates and one of the authority): short 1, default 3, full 10.
 */
export const newCertificates: PlatformProof = { id: 4, name: "New certificates", run };

import type { NodeService } from "../../../cluster/mall";
import { must, type Result } from "../../proof";
import { browsing, carting } from "../deeds";
import { failuresOf, percentile, type Sample, startLoad } from "../load";
import type { PlatformContext, PlatformProof } from "../proof";

const deadlineMs = 3_000;
/** What the way from the mall to its customer may add to a deadline. */
const wayMs = 500;
const attemptsMax = 1.2;
const servedMin = 0.999;

/** What hangs: which service, and how many of its two processes. */
interface Stop {
  service: NodeService;
  processes: 1 | 2;
  /** Whether pages can be served without it. */
  isSpare: boolean;
}

const stops: readonly Stop[] = [
  { service: "product", processes: 1, isSpare: true },
  { service: "product", processes: 2, isSpare: false },
  { service: "auth", processes: 2, isSpare: true },
  { service: "cart", processes: 2, isSpare: true },
];

const isOf = (deed: string) => (sample: Sample) => sample.deed === deed;

function mustBeInTime(samples: readonly Sample[], title: string): void {
  const late = samples.filter(({ tookMs }) => tookMs > deadlineMs + wayMs);
  must(
    late.length === 0,
    () => `${title}: ${late.length} answers came late, such as ${late[0]!.what} after ${late[0]!.tookMs} ms`,
  );
}

/** Stops the processes for a while under load. Returns what came of it. */
async function hang({ service, processes, isSpare }: Stop, context: PlatformContext, seconds: number) {
  const { mall, door, town, random, tap, pace } = context;
  const title = `${processes} of 2 ${service} processes stopped`;
  const nodes = mall.nodesOf(service).slice(0, processes);
  const before = tap.counts[service] ?? 0;
  const deeds = [browsing(town), carting(town)];
  const load = startLoad({ door, perSecond: pace, deeds, random: random.fork(title), deadlineMs });
  for (const node of nodes) node.pause();
  try {
    await Bun.sleep(seconds * 1000);
  } finally {
    for (const node of nodes) node.resume();
  }
  await load.stop();
  const attempts = (tap.counts[service] ?? 0) - before;
  const browsed = load.samples.filter(isOf("browse"));
  const failures = failuresOf(browsed);
  const served = 1 - failures.length / browsed.length;
  must(
    !isSpare || served >= servedMin,
    () => `${title}: ${failures.length} of ${browsed.length} pages failed: ${failures[0]}`,
  );
  mustBeInTime(load.samples, title);
  return { title, attempts, samples: load.samples, browsed, served };
}

async function run(context: PlatformContext): Promise<Result> {
  const seconds = context.size({ short: 8, default: 20, full: 20 });
  const notes: string[] = [];
  let trials = 0;
  for (const stop of stops) {
    const { title, attempts, samples, browsed, served } = await hang(stop, context, seconds);
    // a page is one request to product, and so is a line in a cart; a cart is two requests to cart
    const asked = samples.filter(({ what }) =>
      stop.service === "product" ? !what.endsWith("/v1/carts") : what.startsWith("cart:"),
    ).length;
    const ratio = attempts / asked;
    if (stop.service !== "auth")
      must(ratio <= attemptsMax, `${title}: ${attempts} attempts for ${asked} requests`);
    trials += samples.length;
    const figures = [
      `${(served * 100).toFixed(2)} % of ${browsed.length} pages served, p99 ${percentile(browsed, 0.99)} ms`,
      ...(stop.service === "auth" ? [] : [`${ratio.toFixed(2)} attempts a request`]),
    ];
    notes.push(`${title} for ${seconds} s: ${figures.join(", ")}`);
    context.log(notes.at(-1)!);
    await context.mall.ready();
    await Bun.sleep(2_000);
  }
  return { trials, faults: { "services that hung": stops.length }, notes };
}

/**
 * A dependency that hangs (SIGSTOP) harms nobody who can be served without it. One of two product processes, then both,
 * then all of auth, then all of cart stop for 20 s while customers browse at 50 requests a second and fill carts: as long as one
 * product process runs, at least 99.9 % of the pages are served; no answer comes later than its deadline of 3 s (and
 * half a second for its way), and the stopped service gets at most 1.2 attempts a request.
 *
 * Counts (seconds): short 8, default 20, full 20.
 */
export const hangingDependency: PlatformProof = {
  ...{ id: 3, name: "A dependency that hangs" },
  tapped: ["product", "cart"],
  run,
};

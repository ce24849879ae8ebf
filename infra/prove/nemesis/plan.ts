import { createHash } from "node:crypto";
import type { Random } from "../../random";
import type { NodeService } from "../cluster";
import type { Card } from "../provider";

/** Something a shopper or the staff does, `atMs` after the start or as soon as the one before has ended. */
export type Operation = { atMs: number; key: string } & (
  | { does: "browse"; page: number }
  | { does: "buy"; lines: PlannedLine[]; coupon: boolean; card: Card; abandonAfterMs?: number }
  | { does: "pay later"; lines: PlannedLine[]; coupon: boolean; cards: Card[]; payKeys: string[] }
  /** The order is counted back from the shopper's last one. */
  | { does: "cancel"; back: number }
  | { does: "refund"; back: number; percent: number }
  | { does: "adjust"; goods: number; delta: number }
  | { does: "receive"; goods: number; quantity: number }
);

export interface PlannedLine {
  /** Which of the goods. */
  goods: number;
  quantity: number;
}

/** Something that breaks. */
export type Fault = { atMs: number } & (
  | { breaks: "kill -9"; service: NodeService; which: "one" | "all"; downMs: number }
  | { breaks: "PostgreSQL" }
  | { breaks: "SIGSTOP"; service: NodeService; copy: number; forMs: number }
  | { breaks: "duplicates"; at: "before" | "after"; calls: number }
  | { breaks: "lost answers"; at: "before" | "after"; calls: number }
  | { breaks: "slow calls"; calls: number; delayMs: number }
  | { breaks: "provider"; how: "timeout" | "lost answer" | "error"; calls: number }
);

export interface Plan {
  shoppers: Operation[][];
  faults: Fault[];
}

export interface PlanOptions {
  durationMs: number;
  shoppers: number;
  goods: number;
  /** Processes of each service. */
  copies: number;
  /** Longest that a process stands still. */
  stopMsMax: number;
}

const cardsOf = (random: Random): Card => {
  const dice = random.next();
  return dice < 0.12 ? "declined" : dice < 0.22 ? "lost" : "good";
};

const linesOf = (random: Random, goods: number): PlannedLine[] =>
  random
    .shuffle(Array.from({ length: goods }, (_, i) => i))
    .slice(0, random.int(1, 3))
    .map((index) => ({ goods: index, quantity: random.int(1, 3) }));

/** Draws the next operation of a shopper. */
function operation(random: Random, atMs: number, goods: number): Operation {
  const common = { atMs, key: random.uuid() };
  const dice = random.next();
  if (dice < 0.2) return { ...common, does: "browse", page: random.int(1, 50) };
  const bought = { lines: linesOf(random, goods), coupon: random.chance(0.3) };
  if (dice < 0.55) {
    const abandonAfterMs = random.chance(0.15) ? random.int(5, 400) : undefined;
    return { ...common, does: "buy", ...bought, card: cardsOf(random), abandonAfterMs };
  }
  if (dice < 0.72) {
    const cards = Array.from({ length: random.int(0, 2) }, () => cardsOf(random));
    return { ...common, does: "pay later", ...bought, cards, payKeys: cards.map(() => random.uuid()) };
  }
  if (dice < 0.85) return { ...common, does: "cancel", back: random.int(0, 2) };
  if (dice < 0.93) return { ...common, does: "refund", back: random.int(0, 2), percent: random.int(1, 100) };
  const index = random.int(0, goods - 1);
  if (random.chance(0.4)) return { ...common, does: "receive", goods: index, quantity: random.int(1, 20) };
  const delta = random.chance(0.5) ? random.int(1, 10) : -random.int(1, 10);
  return { ...common, does: "adjust", goods: index, delta };
}

function shopper(random: Random, { durationMs, goods }: PlanOptions): Operation[] {
  const operations: Operation[] = [];
  for (let atMs = random.int(0, 1000); atMs < durationMs; atMs += random.int(300, 3500))
    operations.push(operation(random, atMs, goods));
  return operations;
}

const killed: readonly NodeService[] = ["checkout", "order", "payment", "product", "cart", "gateway"];

/** Kinds of faults, as often as they come: a mall that only recovers sells nothing. */
const kinds: readonly Fault["breaks"][] = [
  ...(["kill -9", "duplicates", "provider", "SIGSTOP", "lost answers", "PostgreSQL", "slow calls"] as const),
  ...(["kill -9", "kill -9", "duplicates", "duplicates", "provider", "lost answers", "slow calls"] as const),
];

function fault(
  random: Random,
  breaks: Fault["breaks"],
  atMs: number,
  { copies, stopMsMax }: PlanOptions,
): Fault {
  const at = random.pick(["before", "after"] as const);
  const calls = random.int(1, 12);
  const service = random.pick(killed);
  switch (breaks) {
    case "kill -9":
      return {
        atMs,
        breaks,
        service,
        which: random.pick(["one", "all"] as const),
        downMs: random.int(0, 1500),
      };
    case "duplicates":
    case "lost answers":
      return { atMs, breaks, at, calls };
    case "provider":
      return {
        atMs,
        breaks,
        calls: random.int(1, 4),
        how: random.pick(["timeout", "lost answer", "error"] as const),
      };
    case "SIGSTOP":
      return { atMs, breaks, service, copy: random.int(0, copies - 1), forMs: random.int(200, stopMsMax) };
    case "PostgreSQL":
      return { atMs, breaks };
    case "slow calls":
      return { atMs, breaks, calls, delayMs: random.int(100, 5000) };
  }
}

/** Milliseconds between two crashes of PostgreSQL, whose recovery is an outage of everything. */
const betweenCrashesMs = 25_000;

function faultsOf(random: Random, options: PlanOptions): Fault[] {
  const faults: Fault[] = [];
  let crashedMs = Number.NEGATIVE_INFINITY;
  for (
    let atMs = random.int(500, 1500), n = 0;
    atMs < options.durationMs;
    atMs += random.int(500, 3000), n++
  ) {
    // the first round brings each kind once, so that none is missing in a short run
    const breaks = kinds[n < 7 ? n : random.int(0, kinds.length - 1)]!;
    if (breaks === "PostgreSQL") {
      if (atMs < crashedMs + betweenCrashesMs) continue;
      crashedMs = atMs;
    }
    faults.push(fault(random, breaks, atMs, options));
  }
  return faults;
}

/** Draws everything that will be done: the same seed gives the same plan. */
export function planOf(random: Random, options: PlanOptions): Plan {
  const shoppers = Array.from({ length: options.shoppers }, (_, i) =>
    shopper(random.fork(`shopper ${i}`), options),
  );
  return { shoppers, faults: faultsOf(random.fork("faults"), options) };
}

/** A short name of operations: the same name, the same operations. */
export const digestOf = (operations: readonly (readonly Operation[])[]): string =>
  createHash("sha256").update(JSON.stringify(operations)).digest("hex").slice(0, 16);

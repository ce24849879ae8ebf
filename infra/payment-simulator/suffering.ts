import type { Effect, Held, When } from "./control-contract";
import type { Faults, Subject } from "./faults";
import type { Holds } from "./holds";
import { wholeOf } from "./seeded";

/** What ends a request before its own answer goes out. */
export type Ending = { kind: "drop" } | { kind: "reset" } | Extract<Effect, { kind: "answer" }>;

/** A request as faults see it. */
export interface Victim extends Subject {
  paymentIntent: string | null;
}

const heldOf = ({ operation, paymentIntent, metadata, key }: Victim): Omit<Held, "id" | "rule" | "when"> => ({
  operation,
  paymentIntent,
  metadata,
  idempotencyKey: key ?? null,
});

/**
 * Lets the rules of one moment strike a request: it waits where they want it to, and ends where the first says so.
 * `onStrike` is told of each.
 */
export async function suffer(
  { faults, holds, seed }: { faults: Faults; holds: Holds; seed: string },
  victim: Victim,
  when: When,
  onStrike: () => void,
): Promise<Ending | undefined> {
  for (const { id, fired, effect } of faults.striking(victim, when)) {
    onStrike();
    if (effect.kind === "delay") await Bun.sleep(wholeOf(effect.ms, seed, id, fired));
    else if (effect.kind !== "hold") return effect.kind === "answer" ? effect : { kind: effect.kind };
    else if ((await holds.park({ rule: id, when, ...heldOf(victim) })) === "drop") return { kind: "drop" };
  }
  return undefined;
}

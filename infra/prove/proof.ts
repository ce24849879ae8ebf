import type { Random } from "../random";
import type { Cluster } from "./cluster";
import type { Shop } from "./shop";

/** How thorough a run is: CI, by default, or everything. */
export type Form = "short" | "default" | "full";

/** What a proof works with. */
export interface Context {
  form: Form;
  /** The number for this form. */
  size(counts: Record<Form, number>): number;
  random: Random;
  cluster: Cluster;
  shop: Shop;
  /** Tells the reader of the terminal how far it is. */
  log(line: string): void;
}

/** What a proof has to say when nothing was violated. */
export interface Result {
  trials: number;
  /** How often each thing happened that the proof is about; one that never happened fails the proof. */
  faults: Record<string, number>;
  /** For the table. */
  notes: string[];
}

/** A claim and the attack on it. */
export interface Proof {
  id: number;
  name: string;
  /** Environment of the services beyond the cluster's own. */
  env?: Record<string, string>;
  /** Throws a Violation when the claim is wrong. Ends when all its faults have ended. */
  run(context: Context): Promise<Result>;
}

/** A claim that turned out to be wrong. */
export class Violation extends Error {}

/** Throws a Violation with the sentence unless the claim holds. */
export function must(holds: boolean, sentence: string | (() => string)): asserts holds {
  if (!holds) throw new Violation(typeof sentence === "string" ? sentence : sentence());
}

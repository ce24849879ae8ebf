import type { Id } from "@mall/kernel/id";

export type MovementKind = "import" | "receive" | "adjust" | "sale" | "restock";

/** One entry of the ledger of units on hand. */
export interface Movement {
  /** A time-ordered UUID. */
  id: string;
  kind: MovementKind;
  delta: number;
  /** What caused it, such as a checkout; empty otherwise. */
  reference: string;
  note: string;
  at: Date;
}

/** What a variant's stock says, beside what its ledger and its active holds sum up to, all of one instant. */
export interface Recount {
  variantId: Id<"var">;
  onHand: number;
  moved: number;
  reserved: number;
  held: number;
}

/** A number that does not follow from the books. */
export interface StockDifference {
  variantId: Id<"var">;
  field: "on_hand" | "reserved";
  recorded: number;
  recomputed: number;
}

/** Every difference between stock and books. */
export const differencesOf = (recounts: readonly Recount[]): StockDifference[] =>
  recounts.flatMap(({ variantId, onHand, moved, reserved, held }) => [
    ...(onHand === moved
      ? []
      : [{ variantId, field: "on_hand" as const, recorded: onHand, recomputed: moved }]),
    ...(reserved === held
      ? []
      : [{ variantId, field: "reserved" as const, recorded: reserved, recomputed: held }]),
  ]);

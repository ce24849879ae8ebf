import { fault } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";

/** Life of a hold. */
export type HoldState = "active" | "claimed" | "released" | "expired" | "returned";

export interface Hold {
  id: Id<"hold">;
  checkoutId: Id<"chk">;
  state: HoldState;
  /** When it ends by itself; undefined = never. */
  expiresAt?: Date;
}

/** What a move of a hold asks of it and does to each of its units. */
export interface HoldMove {
  from: HoldState;
  /** Only before its end: the units must still be there for this checkout. */
  beforeEnd: boolean;
  /** Added to the reserved units and to those on hand; the latter is written into the ledger as `movement`. */
  reserved: -1 | 0;
  onHand: -1 | 0 | 1;
  movement: "sale" | "restock" | "";
}

/** Every move a hold can make, by the state it ends in; there is no other. */
export const holdMoves = {
  claimed: { from: "active", beforeEnd: true, reserved: -1, onHand: -1, movement: "sale" },
  released: { from: "active", beforeEnd: false, reserved: -1, onHand: 0, movement: "" },
  expired: { from: "active", beforeEnd: false, reserved: -1, onHand: 0, movement: "" },
  returned: { from: "claimed", beforeEnd: false, reserved: 0, onHand: 1, movement: "restock" },
} as const satisfies Record<Exclude<HoldState, "active">, HoldMove>;

/** Whether a hold still holds at an instant, whatever a sweeper has done. */
export const isHeld = (hold: Hold, now: Date): boolean =>
  hold.state === "active" && (hold.expiresAt === undefined || hold.expiresAt > now);

/** Fault HOLD_ENDED: the hold was given back, or came to its end, before it was asked for. */
export const holdEnded = () =>
  fault("failed_precondition", "HOLD_ENDED", "The hold of this checkout has ended; there is no other.");

/** Fault OVERTAKEN: a later call about the hold's end came first. */
export const overtaken = () =>
  fault("aborted", "OVERTAKEN", "A later call of this checkout came first; this one has no effect.");

/** Why a hold no longer holds: HOLD_ENDED when it was given back, HOLD_EXPIRED when its time is over. */
export const noLongerHeld = (hold: Hold) =>
  hold.state === "released" || hold.state === "returned"
    ? holdEnded()
    : fault("failed_precondition", "HOLD_EXPIRED", "The units are no longer held for this checkout.");

/** Fault HOLD_LIMIT_EXCEEDED when a user would hold more unpaid units than one user may. */
export function checkHoldLimit(heldUnits: number, moreUnits: number, unitsMax: number | undefined): void {
  if (unitsMax === undefined || heldUnits + moreUnits <= unitsMax) return;
  throw fault(
    "failed_precondition",
    "HOLD_LIMIT_EXCEEDED",
    "Your unpaid orders hold as many units as one customer may hold; pay or cancel one first.",
    { metadata: { held: String(heldUnits), limit: String(unitsMax) } },
  );
}

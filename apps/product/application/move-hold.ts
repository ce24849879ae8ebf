import { StockReleasedSchema } from "@mall/gen/mall/product/v1/events_pb";
import { lostRace } from "@mall/kernel/db/client";
import type { Id } from "@mall/kernel/id";
import { tryMove } from "../db/holds";
import type { Deps } from "../deps";
import { type Hold, holdMoves, isHeld } from "../domain/hold";

/** How often a move that others were faster than is tried; a hold has fewer moves than that. */
const triesMax = 10;

/** Whether what was seen of a hold allows a move, so that only a race can have kept it from being made. */
function isOpen(seen: Hold | undefined, to: keyof typeof holdMoves, fences: boolean, now: Date): boolean {
  if (!seen) return fences;
  const { from, beforeEnd } = holdMoves[to];
  return seen.state === from && (!beforeEnd || isHeld(seen, now));
}

/**
 * Moves the hold of a checkout, with its stock, its ledger and its event, in one statement. Returns the hold as it was
 * when it could not be moved, undefined for none, and "done" when it was. With `fences`, a checkout without a hold gets
 * one that has ended.
 */
export async function moveHold(
  deps: Pick<Deps, "db" | "clock" | "newId" | "eventRows">,
  checkoutId: Id<"chk">,
  to: keyof typeof holdMoves,
  fences: boolean,
): Promise<"done" | Hold | undefined> {
  const released = { desc: StockReleasedSchema, subject: checkoutId, sequence: 2, data: { checkoutId } };
  for (let tries = 0; tries < triesMax; tries++) {
    const now = deps.clock();
    const fenceId = fences ? deps.newId("hold") : undefined;
    const events = to === "released" ? deps.eventRows(released) : [];
    try {
      const { done, seen } = await tryMove(deps.db, checkoutId, {
        ...{ to, now, events, fenceId, move: holdMoves[to] },
      });
      if (done) return "done";
      if (!isOpen(seen, to, fences, now)) return seen;
    } catch (error) {
      if (!lostRace(error)) throw error;
    }
  }
  throw new Error(`the hold of ${checkoutId} did not stand still`);
}

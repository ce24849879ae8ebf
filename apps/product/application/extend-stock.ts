import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { extendHold, findHold } from "../db/holds";
import type { Deps } from "../deps";
import { isHeld, noLongerHeld, overtaken } from "../domain/hold";

/**
 * Moves the end of a checkout's hold; undefined = it stays until claimed or released. Faults: HOLD_EXPIRED when its
 * time is over or its units are sold, HOLD_ENDED when it was given back, HOLD_NOT_FOUND,
 * OVERTAKEN by a call with a larger sequence.
 */
export const extendStock =
  (deps: Pick<Deps, "db" | "clock">) =>
  async (checkoutId: Id<"chk">, expiresAt: Date | undefined, sequence: number): Promise<void> => {
    const now = deps.clock();
    if (await extendHold(deps.db, checkoutId, { expiresAt, sequence }, now)) return;
    const hold = await findHold(deps.db, checkoutId);
    if (!hold) throw notFound("HOLD");
    throw isHeld(hold, now) ? overtaken() : noLongerHeld(hold);
  };

import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { extendHold, findHold } from "../db/holds";
import type { Deps } from "../deps";
import { noLongerHeld } from "../domain/hold";

/**
 * Moves the end of a checkout's hold; undefined = it stays until claimed or released. Faults: HOLD_EXPIRED when its
 * time is over or its units are sold, HOLD_ENDED when it was given back, HOLD_NOT_FOUND.
 */
export const extendStock =
  (deps: Pick<Deps, "db" | "clock">) =>
  async (checkoutId: Id<"chk">, expiresAt: Date | undefined): Promise<void> => {
    if (await extendHold(deps.db, checkoutId, expiresAt, deps.clock())) return;
    const hold = await findHold(deps.db, checkoutId);
    throw hold ? noLongerHeld(hold) : notFound("HOLD");
  };

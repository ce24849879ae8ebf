import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Deps } from "../deps";
import { noLongerHeld } from "../domain/hold";
import { moveHold } from "./move-hold";

/**
 * Turns a checkout's hold into sold units; a repetition changes nothing. Faults: HOLD_EXPIRED when its time is over,
 * HOLD_ENDED when it was given back, HOLD_NOT_FOUND.
 */
export const claimStock =
  (deps: Pick<Deps, "db" | "clock" | "newId" | "eventRows">) =>
  async (checkoutId: Id<"chk">): Promise<void> => {
    const hold = await moveHold(deps, checkoutId, "claimed", false);
    if (hold === "done" || hold?.state === "claimed") return;
    throw hold ? noLongerHeld(hold) : notFound("HOLD");
  };

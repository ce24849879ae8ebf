import type { Id } from "@mall/kernel/id";
import type { Deps } from "../deps";
import { moveHold } from "./move-hold";

/**
 * Takes the units of a cancelled order back: those held are released, those sold return to the shelf, once. A
 * checkout without a hold can never have one again.
 */
export const restockStock =
  (deps: Pick<Deps, "db" | "clock" | "newId" | "eventRows">) =>
  async (checkoutId: Id<"chk">): Promise<void> => {
    const hold = await moveHold(deps, checkoutId, "released", true);
    if (hold !== "done" && hold?.state === "claimed") await moveHold(deps, checkoutId, "returned", false);
  };

import type { Id } from "@mall/kernel/id";
import type { Deps } from "../deps";
import { moveHold } from "./move-hold";

/**
 * Gives the units of a checkout's hold back. A hold that ended otherwise is left as it is; a checkout without one can
 * never have one again, so that a reservation that was overtaken holds nothing.
 */
export const releaseStock =
  (deps: Pick<Deps, "db" | "clock" | "newId" | "eventRows">) =>
  async (checkoutId: Id<"chk">): Promise<void> => {
    await moveHold(deps, checkoutId, "released", true);
  };

import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { endHold, findHold } from "../db/stock";
import type { Deps } from "../deps";
import { holdExpired, variantsOf } from "../domain/stock";
import { lockStock } from "./lock-stock";

/** Turns a checkout's hold into sold units; a repetition changes nothing. Faults: HOLD_EXPIRED, HOLD_NOT_FOUND. */
export const claimStock =
  (deps: Pick<Deps, "db" | "clock" | "announce">) =>
  (checkoutId: Id<"chk">): Promise<void> =>
    deps.db.tx(async (tx) => {
      const now = deps.clock();
      const held = await findHold(tx, checkoutId);
      if (!held) throw notFound("HOLD");
      if (held.hold.state === "claimed") return;
      await lockStock(deps, tx, variantsOf(held.lines), now);
      if (await endHold(tx, held, "claimed", now)) return;
      const ended = await findHold(tx, checkoutId);
      if (ended?.hold.state !== "claimed") throw holdExpired();
    });

import { StockReleasedSchema } from "@mall/gen/mall/product/v1/events_pb";
import type { Id } from "@mall/kernel/id";
import { endHold, findHold, lockStock } from "../db/stock";
import type { Deps } from "../deps";

/** Gives the units of a checkout's hold back. A hold that ended otherwise, or none, is left as it is. */
export const releaseStock =
  (deps: Pick<Deps, "db" | "clock" | "announce">) =>
  (checkoutId: Id<"chk">): Promise<void> =>
    deps.db.tx(async (tx) => {
      const now = deps.clock();
      const held = await findHold(tx, checkoutId);
      if (held?.hold.state !== "active") return;
      await lockStock(
        tx,
        held.lines.map((line) => line.variantId),
        now,
      );
      if (!(await endHold(tx, held, "released", now))) return;
      await deps.announce(tx, {
        desc: StockReleasedSchema,
        data: { checkoutId },
        subject: held.hold.id,
        sequence: 2,
      });
    });

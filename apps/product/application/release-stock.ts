import { StockReleasedSchema } from "@mall/gen/mall/product/v1/events_pb";
import type { Id } from "@mall/kernel/id";
import { endHold, findHold } from "../db/stock";
import type { Deps } from "../deps";
import { variantsOf } from "../domain/stock";
import { lockStock } from "./lock-stock";

/** Gives the units of a checkout's hold back. A hold that ended otherwise, or none, is left as it is. */
export const releaseStock =
  (deps: Pick<Deps, "db" | "clock" | "announce">) =>
  (checkoutId: Id<"chk">): Promise<void> =>
    deps.db.tx(async (tx) => {
      const now = deps.clock();
      const held = await findHold(tx, checkoutId);
      if (held?.hold.state !== "active") return;
      await lockStock(deps, tx, variantsOf(held.lines), now);
      if (!(await endHold(tx, held, "released", now))) return;
      const about = { desc: StockReleasedSchema, subject: held.hold.id, sequence: 2 };
      await deps.announce(tx, { ...about, data: { checkoutId } });
    });

import { endHold, findHold, listDueHolds, lockStock } from "../db/stock";
import type { Deps } from "../deps";

/** Gives the units of due holds back, so that the catalogue's figures follow; decisions do not wait for it. */
export const expireHolds = (deps: Pick<Deps, "db" | "clock">) => async (): Promise<void> => {
  for (const checkoutId of await listDueHolds(deps.db, deps.clock())) {
    await deps.db.tx(async (tx) => {
      const now = deps.clock();
      const due = await findHold(tx, checkoutId);
      if (due?.hold.state !== "active") return;
      await lockStock(
        tx,
        due.lines.map((line) => line.variantId),
        now,
      );
      const { hold } = (await findHold(tx, checkoutId))!;
      if (hold.state === "active" && hold.expiresAt && hold.expiresAt <= now)
        await endHold(tx, due, "expired", now);
    });
  }
};

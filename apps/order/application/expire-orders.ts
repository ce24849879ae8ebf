import { dueOrders } from "../db/orders";
import type { Deps } from "../deps";
import { announceCancelled, makeMove } from "./move";

/** Writes down which unpaid orders time has cancelled. Safe in many processes at once. */
export async function expireOrders(deps: Deps): Promise<void> {
  for (;;) {
    const expired = await deps.db.tx(async (tx) => {
      const now = deps.clock();
      const ids = await dueOrders(tx, now);
      for (const id of ids) {
        const { order, moved } = await makeMove(tx, id, "expire", now, (found) =>
          found.expiresAt && found.expiresAt <= now
            ? { kind: "cancelled", reason: "EXPIRED", at: found.expiresAt }
            : undefined,
        );
        if (moved) await announceCancelled(deps, tx, order);
      }
      return ids.length;
    });
    if (expired < 50) return;
  }
}

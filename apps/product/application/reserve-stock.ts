import { StockReservedSchema } from "@mall/gen/mall/product/v1/events_pb";
import { fault } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { findHold, insertHold, lockStock } from "../db/stock";
import type { Deps } from "../deps";
import { checkLines, type Hold, holdExpired, isHeld, type StockLine } from "../domain/stock";

/** Fault VALIDATION when a variant is in two lines: a line must be decided as a whole. */
function checkDistinct(lines: readonly StockLine[]): void {
  const seen = new Set<string>();
  for (const [index, { variantId }] of lines.entries()) {
    if (seen.has(variantId)) {
      const violations = [{ pointer: `#/lines/${index}/variantId`, detail: "is in two lines" }];
      throw fault("invalid_argument", "VALIDATION", "Each variant may be in one line only.", { violations });
    }
    seen.add(variantId);
  }
}

/**
 * Holds units for a checkout, all lines or none; untracked variants need none. A repetition returns the hold the
 * checkout has. Faults: OUT_OF_STOCK, VARIANT_NOT_FOUND, HOLD_EXPIRED when the checkout's hold has ended.
 */
export const reserveStock =
  (deps: Deps) =>
  (checkoutId: Id<"chk">, lines: readonly StockLine[], expiresAt: Date | undefined): Promise<Id<"hold">> => {
    checkDistinct(lines);
    return deps.db.tx(async (tx) => {
      const now = deps.clock();
      const stockOf = await lockStock(
        tx,
        lines.map((line) => line.variantId),
        now,
      );
      const existing = await findHold(tx, checkoutId);
      if (existing) {
        if (isHeld(existing.hold, now) || existing.hold.state === "claimed") return existing.hold.id;
        throw holdExpired();
      }
      checkLines(lines, stockOf);
      const hold: Hold = { id: deps.newId("hold"), checkoutId, state: "active", expiresAt };
      const tracked = lines.filter((line) => stockOf.get(line.variantId)!.trackInventory);
      if (!(await insertHold(tx, hold, tracked, now))) return (await findHold(tx, checkoutId))!.hold.id;
      await deps.announce(tx, {
        desc: StockReservedSchema,
        data: { checkoutId },
        subject: hold.id,
        sequence: 1,
      });
      return hold.id;
    });
  };

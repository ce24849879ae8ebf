import { StockReservedSchema } from "@mall/gen/mall/product/v1/events_pb";
import { fault } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { findHold, insertHold } from "../db/stock";
import type { Deps } from "../deps";
import { checkLines, type Hold, holdExpired, isHeld, type StockLine, variantsOf } from "../domain/stock";
import { lockStock } from "./lock-stock";

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

/** The hold that a checkout has already. Fault HOLD_EXPIRED when it ended, unless by its claim. */
function repeated(hold: Hold, now: Date): Id<"hold"> {
  if (hold.state === "claimed" || isHeld(hold, now)) return hold.id;
  throw holdExpired();
}

/**
 * Holds units for a checkout, all lines or none; untracked variants need none. A repetition returns the hold the
 * checkout has. Faults: OUT_OF_STOCK, VARIANT_NOT_FOUND for one that is unknown or not sold, HOLD_EXPIRED when the
 * checkout's hold has ended.
 */
export const reserveStock =
  (deps: Deps) =>
  (checkoutId: Id<"chk">, lines: readonly StockLine[], expiresAt: Date | undefined): Promise<Id<"hold">> => {
    checkDistinct(lines);
    return deps.db.tx(async (tx) => {
      const now = deps.clock();
      const stockOf = await lockStock(deps, tx, variantsOf(lines), now);
      const existing = await findHold(tx, checkoutId);
      if (existing) return repeated(existing.hold, now);
      checkLines(lines, stockOf);
      const hold: Hold = { id: deps.newId("hold"), checkoutId, state: "active", expiresAt };
      const tracked = lines.filter((line) => stockOf.get(line.variantId)!.trackInventory);
      if (!(await insertHold(tx, hold, tracked, now)))
        return repeated((await findHold(tx, checkoutId))!.hold, now);
      const about = { desc: StockReservedSchema, subject: hold.id, sequence: 1 };
      await deps.announce(tx, { ...about, data: { checkoutId } });
      return hold.id;
    });
  };

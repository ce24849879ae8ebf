import { StockReleasedSchema } from "@mall/gen/mall/product/v1/events_pb";
import type { Tx } from "@mall/kernel/db/client";
import type { Id } from "@mall/kernel/id";
import { expireHolds } from "../db/holds";
import { lockStockRows } from "../db/stock";
import type { Deps } from "../deps";
import type { Stock, StockLine } from "../domain/stock";

/** Ends those of the holds that are due, whose stock must be locked, and announces it. Returns the units given back. */
export async function endDueHolds(
  deps: Pick<Deps, "announce">,
  tx: Tx,
  holdIds: readonly Id<"hold">[],
  now: Date,
): Promise<StockLine[]> {
  const expired = await expireHolds(tx, holdIds, now);
  const events = expired.map(({ checkoutId }) => ({
    ...{ desc: StockReleasedSchema, subject: checkoutId, sequence: 2 },
    data: { checkoutId },
  }));
  if (events.length > 0) await deps.announce(tx, ...events);
  return expired.flatMap(({ lines }) => lines);
}

/**
 * Locks the stock of variants in one global order and ends their due holds first, so that what is returned is exact
 * until the transaction ends. Unknown variants are absent.
 */
export async function lockStock(
  deps: Pick<Deps, "announce">,
  tx: Tx,
  variantIds: readonly Id<"var">[],
  now: Date,
): Promise<Map<string, Stock>> {
  const { stockOf, due } = await lockStockRows(tx, variantIds, now);
  if (due.length === 0) return stockOf;
  for (const { variantId, quantity } of await endDueHolds(deps, tx, due, now)) {
    const stock = stockOf.get(variantId);
    if (stock) stock.reserved -= quantity;
  }
  return stockOf;
}

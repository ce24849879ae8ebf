import type { Tx } from "@mall/kernel/db/client";
import { type StockChange, moveStock as writeMove } from "../db/stock";
import type { Deps } from "../deps";
import { availableOf, fellLow, type Stock } from "../domain/stock";
import { announceLow } from "./announce-low";

/** Changes the units on hand of locked stock, with its ledger, and announces when it fell low. */
export async function moveStock(
  deps: Pick<Deps, "announce" | "lowAt">,
  tx: Tx,
  stock: Stock,
  change: StockChange,
  now: Date,
): Promise<Stock> {
  const available = availableOf(stock) + change.delta;
  const fell = fellLow(availableOf(stock), available, deps.lowAt);
  const { stock: moved, lows } = await writeMove(tx, stock, change, fell, now);
  if (fell) await announceLow(deps, tx, [{ variantId: stock.variantId, available, times: lows }]);
  return moved;
}

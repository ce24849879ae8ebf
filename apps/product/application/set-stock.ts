import { notFound } from "@mall/kernel/fault";
import { findVariantBySku } from "../db/stock";
import type { Deps } from "../deps";
import { outOfStock, type Stock } from "../domain/stock";
import { checkTracked } from "./adjust-stock";
import { lockStock } from "./lock-stock";
import { moveStock } from "./move-stock";

/**
 * Sets the units on hand of a SKU, for the command line. Faults: VARIANT_NOT_FOUND, VARIANT_NOT_TRACKED, OUT_OF_STOCK
 * when fewer units than are reserved would be left.
 */
export const setStock =
  (deps: Pick<Deps, "db" | "clock" | "announce" | "lowAt" | "audit">) =>
  async (sku: string, quantity: number): Promise<Stock> => {
    const variantId = await findVariantBySku(deps.db, sku);
    if (!variantId) throw notFound("VARIANT");
    return deps.db.tx(async (tx) => {
      const now = deps.clock();
      const stock = (await lockStock(deps, tx, [variantId], now)).get(variantId)!;
      checkTracked(stock);
      if (quantity < stock.reserved) throw outOfStock(variantId, stock.onHand - stock.reserved);
      const delta = quantity - stock.onHand;
      if (delta === 0) return stock;
      await deps.audit.record(tx, { action: "SetStock", subject: variantId, metadata: { delta } });
      return moveStock(deps, tx, stock, { delta, kind: "adjust", note: "stock set" }, now);
    });
  };

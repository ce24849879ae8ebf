import { fault } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";

/** Units of one variant. */
export interface Stock {
  variantId: Id<"var">;
  trackInventory: boolean;
  /** Whether customers can buy it: the product has it and is published. */
  sold: boolean;
  onHand: number;
  /** Units that active holds keep. */
  reserved: number;
  version: number;
}

export interface StockLine {
  variantId: Id<"var">;
  quantity: number;
}

/** The variants of lines, in their order. */
export const variantsOf = (lines: readonly StockLine[]): Id<"var">[] => lines.map((line) => line.variantId);

/** Units that can be bought. */
export const availableOf = (stock: Stock): number => stock.onHand - stock.reserved;

/** Fault OUT_OF_STOCK with metadata.variantId. */
export const outOfStock = (variantId: Id<"var">, available: number) =>
  fault("failed_precondition", "OUT_OF_STOCK", "Not enough units are left.", {
    metadata: { variantId, available: String(available) },
  });

/** Refuses lines that the stock cannot serve, the first one: ITEM_UNAVAILABLE or OUT_OF_STOCK, with metadata.variantId. */
export function checkLines(lines: readonly StockLine[], stockOf: ReadonlyMap<string, Stock>): void {
  for (const { variantId, quantity } of lines) {
    const stock = stockOf.get(variantId);
    if (!stock?.sold) {
      throw fault("failed_precondition", "ITEM_UNAVAILABLE", "An item of the cart is no longer sold.", {
        metadata: { variantId },
      });
    }
    if (stock.trackInventory && availableOf(stock) < quantity)
      throw outOfStock(variantId, availableOf(stock));
  }
}

/** Units that lines take of what is counted. */
export const trackedUnits = (lines: readonly StockLine[], stockOf: ReadonlyMap<string, Stock>): number =>
  lines.reduce(
    (sum, { variantId, quantity }) => sum + (stockOf.get(variantId)?.trackInventory ? quantity : 0),
    0,
  );

/** Whether the available units fell to the threshold: once on the way down, and again only after they rose above it. */
export const fellLow = (before: number, after: number, lowAt: number): boolean =>
  before > lowAt && after <= lowAt;

/** A variant whose stock fell low. */
export interface LowStock {
  variantId: Id<"var">;
  available: number;
  /** How often it did so far. */
  times: number;
}

import { fault, notFound } from "@mall/kernel/fault";
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

/** Life of a hold. */
export type HoldState = "active" | "claimed" | "released" | "expired";

export interface Hold {
  id: Id<"hold">;
  checkoutId: Id<"chk">;
  state: HoldState;
  /** When it ends by itself; undefined = never. */
  expiresAt?: Date;
}

/** Whether a hold still holds at an instant, whatever a sweeper has done. */
export const isHeld = (hold: Hold, now: Date): boolean =>
  hold.state === "active" && (hold.expiresAt === undefined || hold.expiresAt > now);

/** Units that can be bought. */
export const availableOf = (stock: Stock): number => stock.onHand - stock.reserved;

/** Fault OUT_OF_STOCK with metadata.variantId. */
export const outOfStock = (variantId: Id<"var">, available: number) =>
  fault("failed_precondition", "OUT_OF_STOCK", "Not enough units are left.", {
    metadata: { variantId, available: String(available) },
  });

export const holdExpired = () =>
  fault("failed_precondition", "HOLD_EXPIRED", "The units are no longer held for this checkout.");

/** Refuses lines that the stock cannot serve: VARIANT_NOT_FOUND, or OUT_OF_STOCK for the first short line. */
export function checkLines(lines: readonly StockLine[], stockOf: ReadonlyMap<string, Stock>): void {
  for (const { variantId, quantity } of lines) {
    const stock = stockOf.get(variantId);
    if (!stock?.sold) throw notFound("VARIANT");
    if (stock.trackInventory && availableOf(stock) < quantity)
      throw outOfStock(variantId, availableOf(stock));
  }
}

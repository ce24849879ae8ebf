import { StockLowSchema } from "@mall/gen/mall/product/v1/events_pb";
import type { Happening } from "@mall/kernel/bus/outbox";
import type { Tx } from "@mall/kernel/db/client";
import type { Deps } from "../deps";
import type { LowStock } from "../domain/stock";

/** The event of a variant whose stock fell low. */
export const lowStock = ({ variantId, available, times }: LowStock): Happening<typeof StockLowSchema> => ({
  ...{ desc: StockLowSchema, subject: variantId, sequence: times },
  data: { variantId, available },
});

/** Announces variants whose stock fell low in this transaction. */
export async function announceLow(
  deps: Pick<Deps, "announce">,
  tx: Tx,
  low: readonly LowStock[],
): Promise<void> {
  if (low.length > 0) await deps.announce(tx, ...low.map(lowStock));
}

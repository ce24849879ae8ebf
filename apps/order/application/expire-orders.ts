import { OrderCancelledSchema } from "@mall/gen/mall/order/v1/events_pb";
import { expireDue } from "../db/due-orders";
import type { Deps } from "../deps";
import { expiredReason } from "../domain/decide";

const ordersPerBatch = 100;
const batchesMax = 50;

/**
 * Writes down which unpaid orders time has cancelled, 5,000 at most; reads and decisions do not wait for it. Safe in
 * many processes at once.
 */
export async function expireOrders(deps: Pick<Deps, "db" | "clock" | "announce">): Promise<void> {
  for (let batch = 0; batch < batchesMax; batch++) {
    const count = await deps.db.tx(async (tx) => {
      const expired = await expireDue(tx, deps.clock(), ordersPerBatch);
      const events = expired.map(({ orderId, checkoutId, version }) => ({
        desc: OrderCancelledSchema,
        data: { orderId, checkoutId, reason: expiredReason },
        subject: orderId,
        sequence: version,
      }));
      if (events.length > 0) await deps.announce(tx, ...events);
      return events.length;
    });
    if (count < ordersPerBatch) return;
  }
}

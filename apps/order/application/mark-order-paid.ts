import { OrderPaidSchema } from "@mall/gen/mall/order/v1/events_pb";
import type { Id } from "@mall/kernel/id";
import type { Deps } from "../deps";
import type { Order } from "../domain/order";
import { makeMove } from "./move";

/**
 * Marks an order as paid by one payment; a repetition with the same payment changes nothing, also after the order was
 * cancelled or refunded since. Faults: ORDER_NOT_FOUND, ORDER_STATE_INVALID.
 */
export const markOrderPaid =
  (deps: Deps) =>
  (orderId: Id<"ord">, paymentId: Id<"pay">): Promise<Order> =>
    deps.db.tx(async (tx) => {
      const { order, moved } = await makeMove(tx, orderId, "pay", deps.clock(), (found) =>
        found.paidAt && found.paymentId === paymentId ? undefined : { kind: "paid", paymentId },
      );
      const data = { orderId, paymentId };
      if (moved)
        await deps.announce(tx, { desc: OrderPaidSchema, data, subject: orderId, sequence: order.version });
      return order;
    });

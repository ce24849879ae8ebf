import { OrderCancelledSchema } from "@mall/gen/mall/order/v1/events_pb";
import type { Id } from "@mall/kernel/id";
import type { Deps } from "../deps";
import type { Order } from "../domain/order";
import { makeMove } from "./move";

/** Cancels an unpaid order; a repetition changes nothing. Fault ORDER_STATE_INVALID once it is paid. */
export const cancelOrder =
  (deps: Deps) =>
  (orderId: Id<"ord">, reason: string): Promise<Order> =>
    deps.db.tx(async (tx) => {
      const { order, moved } = await makeMove(
        tx,
        orderId,
        "cancel",
        { kind: "cancelled", reason },
        deps.clock(),
      );
      const data = { orderId, reason };
      if (moved)
        await deps.announce(tx, {
          desc: OrderCancelledSchema,
          data,
          subject: orderId,
          sequence: order.version,
        });
      return order;
    });

import { OrderCancelledSchema } from "@mall/gen/mall/order/v1/events_pb";
import type { Tx } from "@mall/kernel/db/client";
import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { findOrder, moveOrder, type OrderChange } from "../db/orders";
import type { Deps } from "../deps";
import { asOf, nextState, type Order, type OrderMove } from "../domain/order";

/**
 * Makes one move of the transition table, decided on the order as it is now; when another move came first, the order's
 * new state decides again. `decide` gives what the move writes down, or undefined when the order is to stay as it is.
 */
export async function makeMove(
  tx: Tx,
  id: Id<"ord">,
  move: OrderMove,
  now: Date,
  decide: (order: Order) => Omit<OrderChange, "state"> | undefined,
): Promise<{ order: Order; moved: boolean }> {
  for (;;) {
    const stored = await findOrder(tx, id);
    if (!stored) throw notFound("ORDER");
    const order = move === "expire" ? stored : asOf(stored, now);
    const change = decide(order);
    if (!change) return { order, moved: false };
    const moved = await moveOrder(tx, stored, { state: nextState(order.state, move), ...change }, now);
    if (moved) return { order: moved, moved: true };
  }
}

/** Tells everybody that an order was cancelled. */
export const announceCancelled = (deps: Deps, tx: Tx, order: Order): Promise<void> =>
  deps.announce(tx, {
    desc: OrderCancelledSchema,
    data: { orderId: order.id, reason: order.cancelReason, checkoutId: order.checkoutId },
    subject: order.id,
    sequence: order.version,
  });

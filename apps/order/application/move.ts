import type { Tx } from "@mall/kernel/db/client";
import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { findOrder, moveOrder } from "../db/orders";
import { nextState, type Order, type OrderMove } from "../domain/order";

/**
 * Makes one move of the transition table; when another one came first, the order's new state decides again. Returns
 * undefined when the order already is where the move leads.
 */
export async function makeMove(
  tx: Tx,
  id: Id<"ord">,
  move: OrderMove,
  details: { kind: string; paymentId?: Id<"pay">; reason?: string },
  now: Date,
): Promise<{ order: Order; moved: boolean }> {
  for (;;) {
    const order = await findOrder(tx, id);
    if (!order) throw notFound("ORDER");
    if (move === "pay" && order.state === "PAID" && order.paymentId === details.paymentId)
      return { order, moved: false };
    if (move === "cancel" && order.state === "CANCELLED") return { order, moved: false };
    const moved = await moveOrder(tx, order, { state: nextState(order.state, move), ...details }, now);
    if (moved) return { order: moved, moved: true };
  }
}

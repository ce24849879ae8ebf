import { fault } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Actor } from "@mall/kernel/identity/actor";
import type { Deps } from "../deps";
import { isBeingPaid, type Order } from "../domain/order";
import { getOrder } from "./get-order";
import { announceCancelled, makeMove } from "./move";
import { undo, undoLeaseSeconds } from "./undo";

const inProgress = () =>
  fault("aborted", "ORDER_PAYMENT_IN_PROGRESS", "A payment of this order is being worked on.", {
    retryAfterSeconds: 1,
  });

/**
 * Cancels an order of the actor that has not been shipped; a repetition changes nothing. Units and money of a paid one
 * go back right after the decision, and by the sweeper when that fails. Faults: ORDER_NOT_FOUND, ORDER_STATE_INVALID,
 * ORDER_PAYMENT_IN_PROGRESS.
 */
export const cancelOrder =
  (deps: Deps) =>
  async (actor: Actor, orderId: Id<"ord">, reason: string): Promise<Order> => {
    await getOrder(deps)(actor, orderId);
    const now = deps.clock();
    const { order, moved } = await deps.db.tx(async (tx) => {
      const result = await makeMove(tx, orderId, "cancel", now, (found) => {
        if (found.state === "CANCELLED") return undefined;
        if (isBeingPaid(found)) throw inProgress();
        const undoDueAt = new Date(now.getTime() + undoLeaseSeconds * 1000);
        return { kind: "cancelled", reason, ...(found.state === "PAID" && { undoDueAt }) };
      });
      if (result.moved) await announceCancelled(deps, tx, result.order);
      return result;
    });
    if (moved && order.paidAt) await undo(deps, { orderId, checkoutId: order.checkoutId });
    return order;
  };

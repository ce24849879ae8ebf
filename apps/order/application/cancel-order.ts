import type { Id } from "@mall/kernel/id";
import type { Actor } from "@mall/kernel/identity/actor";
import type { Deps } from "../deps";
import type { Order } from "../domain/order";
import { carryOut } from "./carry-out";
import { getHeldOrder } from "./holder";
import { undo } from "./undo";

/** Why an order was cancelled by its customer, whatever else that says about it. */
const customerReason = "CUSTOMER";

/**
 * Cancels an order of the actor that has not been shipped; a repetition changes nothing. Units and money of a paid one
 * go back right after the decision, and by the sweeper when that fails. Faults: ORDER_NOT_FOUND, ORDER_STATE_INVALID,
 * ORDER_PAYMENT_IN_PROGRESS.
 */
export const cancelOrder =
  (deps: Deps) =>
  async (actor: Actor, orderId: Id<"ord">, words: string): Promise<Order> => {
    await getHeldOrder(deps, actor, orderId);
    const { order, change } = await carryOut(deps, orderId, {
      verb: "cancel",
      reason: customerReason,
      words,
    });
    if (change?.hasEffects) await undo(deps, { orderId, checkoutId: order.checkoutId, attempts: 0 });
    return order;
  };

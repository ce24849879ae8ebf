import type { Id } from "@mall/kernel/id";
import type { Deps } from "../deps";
import type { Order } from "../domain/order";
import { carryOut } from "./carry-out";

/**
 * Marks an order as paid by one payment; this decides. A repetition with the same payment changes nothing and returns
 * the order as it is, also when it was cancelled after it was paid. Faults: ORDER_NOT_FOUND, ORDER_STATE_INVALID when
 * it was cancelled or expired unpaid, or paid by another payment.
 */
export const markOrderPaid =
  (deps: Deps) =>
  async (orderId: Id<"ord">, paymentId: Id<"pay">): Promise<Order> =>
    (await carryOut(deps, orderId, { verb: "pay", paymentId })).order;

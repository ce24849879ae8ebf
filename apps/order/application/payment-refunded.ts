import type { Tx } from "@mall/kernel/db/client";
import type { Id } from "@mall/kernel/id";
import { findOrder } from "../db/orders";
import type { Deps } from "../deps";
import type { Refunded } from "../domain/order";
import { carryOutIn, expireIn } from "./carry-out";

/** A refund of a payment, with the sum of it and those before. */
export interface Refund extends Refunded {
  paymentId: Id<"pay">;
  /** For the timeline. */
  detail: string;
}

/**
 * Money of a payment went back; deliveries may come in any order, so the largest sum is the last. It counts for the
 * order that the payment pays, also when the order does not know of that yet. An order that was never created has
 * nothing to tell.
 */
export const paymentRefunded =
  (deps: Deps) =>
  async (tx: Tx, orderId: Id<"ord">, refund: Refund): Promise<void> => {
    if (!(await findOrder(tx, deps.people, orderId))) return;
    const record = () => carryOutIn(deps, tx, orderId, { verb: "refund", ...refund });
    while (!(await record())) await expireIn(deps, tx, orderId);
  };

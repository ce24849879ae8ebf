import { OrderPlacedSchema } from "@mall/gen/mall/order/v1/events_pb";
import type { Tx } from "@mall/kernel/db/client";
import { fault, notFound } from "@mall/kernel/fault";
import { findOrder, insertOrder, isAbandoned } from "../db/orders";
import type { Deps } from "../deps";
import { asOf } from "../domain/decide";
import { checkTotals, type Order, type OrderDraft } from "../domain/order";

const cancelledBefore = () =>
  fault("failed_precondition", "ORDER_STATE_INVALID", "The order was cancelled before this came.", {
    metadata: { state: "CANCELLED" },
  });

/** The order that a repetition made before. One that ended unpaid stays ended, however late its creation comes. */
async function madeBefore(deps: Deps, tx: Tx, draft: OrderDraft, now: Date): Promise<Order> {
  const existing = await findOrder(tx, deps.people, draft.id);
  if (existing?.checkoutId === draft.checkoutId) {
    const order = asOf(existing, now);
    if (order.state === "CANCELLED" && !order.paidAt) throw cancelledBefore();
    return order;
  }
  if (!existing && (await isAbandoned(tx, draft.id))) throw cancelledBefore();
  throw fault("already_exists", "ORDER_EXISTS", "Another order has this id or checkout.");
}

/**
 * Creates the unpaid order of a checkout; a repetition returns the order it made before. Faults:
 * ORDER_STATE_INVALID when it was abandoned or cancelled before it came, ORDER_EXISTS, ORDER_TOTALS_WRONG,
 * ACCOUNT_NOT_FOUND when its user was erased.
 */
export const createOrder =
  (deps: Deps) =>
  async (draft: OrderDraft): Promise<Order> => {
    checkTotals(draft);
    return deps.db.tx(async (tx) => {
      const now = deps.clock();
      const personal = await deps.people.seal(tx, draft.userId ?? draft.id, draft.id, draft.person);
      if (!personal) throw notFound("ACCOUNT");
      const placed = await insertOrder(tx, draft, personal, now);
      if (!placed) return madeBefore(deps, tx, draft, now);
      await deps.announce(tx, {
        desc: OrderPlacedSchema,
        data: { orderId: draft.id },
        subject: draft.id,
        sequence: 1,
      });
      return asOf(placed, now);
    });
  };

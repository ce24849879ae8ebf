import { OrderPlacedSchema } from "@mall/gen/mall/order/v1/events_pb";
import { fault } from "@mall/kernel/fault";
import { findOrder, insertOrder, isAbandoned } from "../db/orders";
import type { Deps } from "../deps";
import { checkTotals, type Order, type OrderDraft } from "../domain/order";

/** Creates the unpaid order of a checkout; a repetition returns the order it made before. */
export const createOrder =
  (deps: Deps) =>
  async (draft: OrderDraft): Promise<Order> => {
    checkTotals(draft);
    return deps.db.tx(async (tx) => {
      const placed = await insertOrder(tx, draft, deps.clock());
      if (placed) {
        await deps.announce(tx, {
          desc: OrderPlacedSchema,
          data: { orderId: draft.id },
          subject: draft.id,
          sequence: 1,
        });
        return placed;
      }
      const existing = await findOrder(tx, draft.id);
      if (existing?.checkoutId === draft.checkoutId) return existing;
      if (!existing && (await isAbandoned(tx, draft.id)))
        throw fault("failed_precondition", "ORDER_STATE_INVALID", "The checkout of this order was undone.", {
          metadata: { state: "CANCELLED" },
        });
      throw fault("already_exists", "ORDER_EXISTS", "Another order has this id or checkout.");
    });
  };

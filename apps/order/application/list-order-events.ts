import type { Id } from "@mall/kernel/id";
import type { Actor } from "@mall/kernel/identity/actor";
import { listEvents } from "../db/order-events";
import type { Deps } from "../deps";
import { isDue } from "../domain/decide";
import type { OrderEvent } from "../domain/order";
import { expireIn } from "./carry-out";
import { getHeldOrder } from "./holder";

/**
 * A page of what happened to an order of the actor, oldest first, and the sequence the next page starts after. An
 * expiry that is due is written down first, so that the timeline agrees with the order. Fault ORDER_NOT_FOUND.
 */
export const listOrderEvents =
  (deps: Deps) =>
  async (
    actor: Actor,
    orderId: Id<"ord">,
    page: { size: number; after: number },
  ): Promise<{ events: OrderEvent[]; next?: number }> => {
    const order = await getHeldOrder(deps, actor, orderId);
    if (isDue(order, deps.clock())) await deps.db.tx((tx) => expireIn(deps, tx, orderId));
    const events = await listEvents(deps.db, orderId, page.after, page.size + 1);
    const shown = events.slice(0, page.size);
    const words = order.person?.cancelWords ?? order.cancelReason;
    // an expiry that was written down just now has its code
    const told = shown.map((event) =>
      words && event.kind === "cancelled" ? { ...event, detail: words } : event,
    );
    return { events: told, next: events.length > page.size ? shown.at(-1)!.sequence : undefined };
  };

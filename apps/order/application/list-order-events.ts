import type { Id } from "@mall/kernel/id";
import type { Actor } from "@mall/kernel/identity/actor";
import { listEvents } from "../db/orders";
import type { Deps } from "../deps";
import type { OrderEvent } from "../domain/order";
import { getOrder } from "./get-order";

const oldestPossible = "00000000-0000-0000-0000-000000000000";

/** A page of what happened to an order of the actor, oldest first, and the event the next page starts after. */
export const listOrderEvents =
  (deps: Deps) =>
  async (
    actor: Actor,
    orderId: Id<"ord">,
    page: { size: number; after?: string },
  ): Promise<{ events: OrderEvent[]; next?: string }> => {
    await getOrder(deps)(actor, orderId);
    const events = await listEvents(deps.db, orderId, page.after ?? oldestPossible, page.size + 1);
    const shown = events.slice(0, page.size);
    return { events: shown, next: events.length > page.size ? shown.at(-1)!.id : undefined };
  };

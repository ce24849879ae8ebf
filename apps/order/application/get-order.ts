import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Actor } from "@mall/kernel/identity/actor";
import { findOrder } from "../db/orders";
import type { Deps } from "../deps";
import { asOf, type Order } from "../domain/order";

/** Whether the actor may see an order: its user, the bearer of a guest order's secret, or the checkout service. */
function holds(deps: Deps, actor: Actor, order: Order): boolean {
  if (actor.service === "checkout") return true;
  if (order.userId) return actor.user?.id === order.userId;
  return actor.orderSecret !== undefined && deps.secrets.isSecretOf(actor.orderSecret, "order", order.id, 1);
}

/** An order of the actor. Fault ORDER_NOT_FOUND, also for orders of others. */
export const getOrder =
  (deps: Deps) =>
  async (actor: Actor, orderId: Id<"ord">): Promise<Order> => {
    const order = await findOrder(deps.db, orderId);
    if (!order || !holds(deps, actor, order)) throw notFound("ORDER");
    return asOf(order, deps.clock());
  };

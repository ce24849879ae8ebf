import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Actor } from "@mall/kernel/identity/actor";
import { findOrder } from "../db/orders";
import type { Deps } from "../deps";
import type { Order } from "../domain/order";

/** Whether an order is the actor's: its user's, or that of the bearer of a guest order's secret. */
export function holds(deps: Pick<Deps, "secrets">, actor: Actor, order: Order): boolean {
  if (order.userId) return actor.user?.id === order.userId;
  return actor.orderSecret !== undefined && deps.secrets.isSecretOf(actor.orderSecret, "order", order.id, 1);
}

/** An order of the actor as it is stored. Fault ORDER_NOT_FOUND, also for orders of others. */
export async function getHeldOrder(
  deps: Pick<Deps, "db" | "secrets" | "people">,
  actor: Actor,
  orderId: Id<"ord">,
): Promise<Order> {
  const order = await findOrder(deps.db, deps.people, orderId);
  if (!order || !holds(deps, actor, order)) throw notFound("ORDER");
  return order;
}

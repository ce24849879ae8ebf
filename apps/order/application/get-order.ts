import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Actor } from "@mall/kernel/identity/actor";
import { findOrder } from "../db/orders";
import type { Deps } from "../deps";
import { asOf } from "../domain/decide";
import type { Order } from "../domain/order";
import { holds } from "./holder";

/** An order of the actor, or any for the checkout service. Fault ORDER_NOT_FOUND, also for orders of others. */
export const getOrder =
  (deps: Deps) =>
  async (actor: Actor, orderId: Id<"ord">): Promise<Order> => {
    const order = await findOrder(deps.db, deps.people, orderId);
    if (!order || !(actor.service === "checkout" || holds(deps, actor, order))) throw notFound("ORDER");
    return asOf(order, deps.clock());
  };

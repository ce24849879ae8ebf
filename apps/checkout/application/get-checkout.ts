import type { Order } from "@mall/gen/mall/order/v1/order_pb";
import { hasReason, notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Actor } from "@mall/kernel/identity/actor";
import { findCheckout } from "../db/checkouts";
import type { CheckoutAnswer, Deps } from "../deps";
import type { Checkout } from "../domain/checkout";

/** Whether the actor may see a checkout: its user, or the bearer of the guest's cart or order secret. */
function holds(deps: Deps, actor: Actor, { userId, cartId, orderId }: Checkout): boolean {
  if (userId) return actor.user?.id === userId;
  const { cartSecret, orderSecret } = actor;
  if (orderSecret !== undefined && deps.secrets.isSecretOf(orderSecret, "order", orderId, 1)) return true;
  return cartSecret !== undefined && deps.secrets.isSecretOf(cartSecret, "cart", cartId, 1);
}

/** A checkout of the actor. Fault CHECKOUT_NOT_FOUND, also for checkouts of others. */
export async function heldCheckout(deps: Deps, actor: Actor, id: Id<"chk">): Promise<Checkout> {
  const checkout = await findCheckout(deps.db, id);
  if (!checkout || !holds(deps, actor, checkout)) throw notFound("CHECKOUT");
  return checkout;
}

/** The order of a checkout, undefined while it does not exist yet. */
export async function orderOf(deps: Deps, checkout: Checkout): Promise<Order | undefined> {
  try {
    return (await deps.rpc.order.getOrder({ orderId: checkout.orderId })).order;
  } catch (error) {
    if (hasReason(error, "ORDER_NOT_FOUND")) return undefined;
    throw error;
  }
}

/** A checkout as it is now: one that was not paid in time has ended, also before the sweeper says so. */
const asOf = (checkout: Checkout, now: Date): Checkout =>
  checkout.state === "AWAITING_PAYMENT" && checkout.expiresAt && checkout.expiresAt <= now
    ? { ...checkout, state: "COMPENSATING", failureReason: "EXPIRED" }
    : checkout;

/** A checkout of the actor with its order. */
export const getCheckout =
  (deps: Deps) =>
  async (actor: Actor, id: Id<"chk">): Promise<CheckoutAnswer> => {
    const checkout = await heldCheckout(deps, actor, id);
    return { checkout: asOf(checkout, deps.clock()), order: await orderOf(deps, checkout) };
  };

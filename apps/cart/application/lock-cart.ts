import { fault, notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Actor } from "@mall/kernel/identity/actor";
import type { Held } from "../db/held";
import { awaitCart, type LockOutcome, lockLines } from "../db/locks";
import type { Deps } from "../deps";
import { type CartLine, cartClaimed, cartConverted, cartLocked } from "../domain/cart";
import type { Coupon } from "../domain/coupon";
import { holdOf } from "./hold";

/** What a checkout gets of a cart. */
export interface LockedCart {
  lines: CartLine[];
  /** As it is stored, also when it has ended. */
  coupon?: Coupon;
}

async function lock(deps: Deps, cart: Held, checkoutId: Id<"chk">): Promise<LockOutcome | undefined> {
  const met = await lockLines(deps.db, cart, checkoutId);
  if (met !== "stale") return met;
  // a change came first: only a statement that begins when no other can come sees all of it
  const again = await deps.db.tx(async (tx) => {
    await awaitCart(tx, cart.cartId);
    return lockLines(tx, cart, checkoutId);
  });
  if (again === "stale") throw new Error("a locked cart changed");
  return again;
}

/**
 * Locks the actor's cart for a checkout and returns its lines in order; locking again with the same checkout
 * is no error. The version stays, since the lines do: after a failed checkout the customer goes on where they
 * were. Faults CART_NOT_FOUND, CART_LOCKED, CART_CONVERTED, CART_CLAIMED, CART_EMPTY, LOCK_ENDED.
 */
export const lockCart =
  (deps: Deps) =>
  async (actor: Actor, cartId: Id<"cart">, checkoutId: Id<"chk">): Promise<LockedCart> => {
    const met = await lock(deps, holdOf(deps, actor, cartId), checkoutId);
    if (!met) throw notFound("CART");
    if (met.state === "CONVERTED") throw cartConverted();
    if (met.state === "CLAIMED") throw cartClaimed();
    if (met.isFenced) {
      throw fault("failed_precondition", "LOCK_ENDED", "This checkout has given the cart back.");
    }
    if (met.state === "LOCKED" && met.checkoutId !== checkoutId) throw cartLocked();
    if (met.lines.length === 0) throw fault("failed_precondition", "CART_EMPTY", "The cart has no items.");
    return { lines: met.lines, coupon: met.coupon };
  };

import { fault, notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Actor } from "@mall/kernel/identity/actor";
import { lockLines } from "../db/carts";
import type { Deps } from "../deps";
import { type CartLine, cartConverted, cartLocked } from "../domain/cart";
import { holdOf } from "./hold";

/**
 * Locks the actor's cart for a checkout and returns its lines in order; locking again with the same checkout
 * is no error. The version stays, since the lines do: after a failed checkout the customer goes on where they
 * were. Faults CART_NOT_FOUND, CART_LOCKED, CART_CONVERTED, CART_EMPTY.
 */
export const lockCart =
  (deps: Deps) =>
  async (actor: Actor, cartId: Id<"cart">, checkoutId: Id<"chk">): Promise<CartLine[]> => {
    const met = await lockLines(deps.db, holdOf(deps, actor, cartId), checkoutId);
    if (!met) throw notFound("CART");
    if (met.state === "CONVERTED") throw cartConverted();
    if (met.state === "LOCKED" && met.checkoutId !== checkoutId) throw cartLocked();
    if (met.lines.length === 0) throw fault("failed_precondition", "CART_EMPTY", "The cart has no items.");
    return met.lines;
  };

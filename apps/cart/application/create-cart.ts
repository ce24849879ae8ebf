import type { Actor } from "@mall/kernel/identity/actor";
import { findActiveCart, insertCart } from "../db/carts";
import type { Deps } from "../deps";
import type { PricedCart } from "../domain/pricing";
import { showCart } from "./offers";

/** A cart for the actor, whether it is new, and the secret when it is a guest's. */
export interface CreatedCart {
  cart: PricedCart;
  created: boolean;
  secret?: string;
}

/** Creates a cart, or finds the one a signed-in user has already, also when parallel requests create it. */
export const createCart =
  (deps: Deps) =>
  async (actor: Actor): Promise<CreatedCart> => {
    const userId = actor.user?.id;
    for (;;) {
      const existing = userId && (await findActiveCart(deps.db, userId));
      if (existing) return { cart: await showCart(deps, existing), created: false };
      const cart = await insertCart(deps.db, deps.newId("cart"), userId, deps.clock());
      // lost to a parallel request, whose cart is found next
      if (!cart) continue;
      const secret = userId ? undefined : deps.secrets.secretOf("cart", cart.id, 1);
      return { cart: await showCart(deps, cart), created: true, secret };
    }
  };

import type { Id } from "@mall/kernel/id";
import type { Actor } from "@mall/kernel/identity/actor";
import { removeLines } from "../db/carts";
import type { Deps } from "../deps";
import type { PricedCart } from "../domain/pricing";
import { admit, type CartChange } from "./admit";
import { readCart } from "./get-cart";
import { holdOf } from "./hold";

/**
 * Removes a line; one that is not there changes nothing. Faults CART_NOT_FOUND, CART_LOCKED, CART_CONVERTED,
 * CART_CLAIMED, VERSION_MISMATCH.
 */
export const removeItem =
  (deps: Deps) =>
  async (
    actor: Actor,
    { cartId, expectedVersion }: CartChange,
    variantId: Id<"var">,
  ): Promise<PricedCart> => {
    const held = holdOf(deps, actor, cartId);
    const change = { held, expectedVersion, now: deps.clock() };
    admit(await removeLines(deps.db, change, variantId), expectedVersion);
    return readCart(deps, held);
  };

import { notFound } from "@mall/kernel/fault";
import type { Actor } from "@mall/kernel/identity/actor";
import { addUnits, findCart } from "../db/carts";
import type { Deps } from "../deps";
import { type CartLine, checkWritable, withUnits } from "../domain/cart";
import { type PricedCart, priceCart } from "../domain/pricing";
import { admit, type CartChange } from "./admit";
import { readCart } from "./get-cart";
import { holdOf } from "./hold";
import { findOffers } from "./offers";

/**
 * Adds units of a variant that is sold. Stock is not asked: the line says what is available. Faults
 * CART_NOT_FOUND, CART_LOCKED, CART_CONVERTED, CART_CLAIMED, VERSION_MISMATCH, CART_LIMIT,
 * QUANTITY_LIMIT, VARIANT_NOT_FOUND.
 */
export const addItem =
  (deps: Deps) =>
  async (actor: Actor, { cartId, expectedVersion }: CartChange, line: CartLine): Promise<PricedCart> => {
    const held = holdOf(deps, actor, cartId);
    const cart = await findCart(deps.db, held);
    if (!cart) throw notFound("CART");
    checkWritable(cart, expectedVersion);
    const lines = withUnits(cart.lines, line);
    const offers = await findOffers(
      deps,
      lines.map(({ variantId }) => variantId),
      cart.reopenedAt,
    );
    if (!offers.has(line.variantId)) throw notFound("VARIANT");
    const now = deps.clock();
    const { version } = admit(await addUnits(deps.db, { held, expectedVersion, now }, line), expectedVersion);
    // others changed the cart since it was read: only a new look tells what it holds
    if (version !== cart.version) return readCart(deps, held);
    return priceCart({ ...cart, lines, version: version + 1, updatedAt: now }, offers, deps.currency, now);
  };

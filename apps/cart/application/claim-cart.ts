import { databaseCode, type Tx } from "@mall/kernel/db/client";
import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Actor } from "@mall/kernel/identity/actor";
import { adoptCart, type ClaimCart, linesOfBoth, lockForClaim, saveMerge } from "../db/claims";
import type { Deps } from "../deps";
import { cartConverted, cartLocked } from "../domain/cart";
import { changedLines, mergeLines } from "../domain/claim";
import type { PricedCart } from "../domain/pricing";
import { readCart } from "./get-cart";
import { holdOf } from "./hold";

async function merge(tx: Tx, mine: ClaimCart, theirs: ClaimCart, now: Date): Promise<void> {
  const before = await linesOfBoth(tx, mine.id, theirs.id);
  const merged = mergeLines(before.mine, before.theirs);
  const changed = changedLines(before.mine, merged);
  const couponCode = mine.couponCode ?? theirs.couponCode;
  await saveMerge(tx, { mine, theirs, changed, lineCount: merged.length, couponCode, now });
}

/** Makes the claimed cart part of the user's, unless it was before. Returns the cart that holds its lines now. */
async function claim(
  deps: Pick<Deps, "clock" | "secrets">,
  tx: Tx,
  actor: Actor,
  cartId: Id<"cart">,
): Promise<Id<"cart">> {
  const { theirs, mine } = await lockForClaim(tx, holdOf(deps, actor, cartId));
  if (!theirs) throw notFound("CART");
  if (theirs.userId) return theirs.id;
  if (theirs.claimedInto) return theirs.claimedInto;
  if (theirs.state === "LOCKED" || mine?.state === "LOCKED") throw cartLocked();
  if (theirs.state === "CONVERTED") throw cartConverted();
  if (!mine) {
    await adoptCart(tx, theirs.id, actor.user!.id, deps.clock());
    return theirs.id;
  }
  await merge(tx, mine, theirs, deps.clock());
  return mine.id;
}

const uniqueViolation = "23505";

/**
 * Merges a guest's cart, opened by its secret, into the signed-in user's, or makes it the user's if there is none.
 * A repetition returns the cart that holds its lines since. Faults CART_NOT_FOUND, also for a cart that another user
 * has claimed, CART_LOCKED, CART_CONVERTED, CART_LIMIT; the carts are what they were then.
 */
export const claimCart =
  (deps: Deps) =>
  async (actor: Actor, cartId: Id<"cart">): Promise<PricedCart> => {
    for (;;) {
      try {
        const into = await deps.db.tx((tx) => claim(deps, tx, actor, cartId));
        return await readCart(deps, { cartId: into, userId: actor.user!.id, bySecret: false });
      } catch (error) {
        // the user got a cart from a parallel request, which is found next
        if (databaseCode(error) !== uniqueViolation) throw error;
      }
    }
  };

import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Outcome } from "../db/held";
import { checkWritable } from "../domain/cart";

/** Which cart to change; `expectedVersion` is the version the change is based on, if the caller says. */
export interface CartChange {
  cartId: Id<"cart">;
  expectedVersion?: number;
}

/**
 * The outcome of a change that was let in. Faults CART_NOT_FOUND, CART_LOCKED, CART_CONVERTED,
 * CART_CLAIMED, VERSION_MISMATCH.
 */
export function admit<O extends Outcome>(outcome: O | undefined, expectedVersion: number | undefined): O {
  if (!outcome) throw notFound("CART");
  if (!outcome.changed) checkWritable(outcome, expectedVersion);
  return outcome;
}

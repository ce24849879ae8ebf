import { type CartLine, cartLimit, linesMax, quantityMax } from "./cart";

/**
 * The union of two carts: the lines of `mine` in their order, then those that only `theirs` has. Quantities of a
 * variant that is in both are added, up to the most units of a line. Fault CART_LIMIT.
 */
export function mergeLines(mine: readonly CartLine[], theirs: readonly CartLine[]): CartLine[] {
  const quantities = new Map(mine.map(({ variantId, quantity }) => [variantId, quantity]));
  for (const { variantId, quantity } of theirs) {
    quantities.set(variantId, Math.min((quantities.get(variantId) ?? 0) + quantity, quantityMax));
  }
  if (quantities.size > linesMax) throw cartLimit();
  return [...quantities].map(([variantId, quantity]) => ({ variantId, quantity }));
}

/** The lines of `after` that `before` does not have like this. */
export function changedLines(before: readonly CartLine[], after: readonly CartLine[]): CartLine[] {
  const quantities = new Map(before.map(({ variantId, quantity }) => [variantId, quantity]));
  return after.filter(({ variantId, quantity }) => quantities.get(variantId) !== quantity);
}

import { fault } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Coupon } from "./coupon";

/** Life of a cart; the names are those of the contract without their prefix. */
export type CartState = "OPEN" | "LOCKED" | "CONVERTED" | "CLAIMED";

/** Most units a line holds, and most lines a cart has; CHECK constraints hold the same. */
export const quantityMax = 999;
export const linesMax = 100;

/** So many units of a variant. */
export interface CartLine {
  variantId: Id<"var">;
  quantity: number;
}

/** A cart with its lines in the order in which they were added. */
export interface Cart {
  id: Id<"cart">;
  userId?: Id<"usr">;
  state: CartState;
  version: number;
  createdAt: Date;
  updatedAt: Date;
  /** When a checkout gave it back last. */
  reopenedAt?: Date;
  coupon?: Coupon;
  /** Whether the checkout that has the cart redeemed its coupon, whose end does not matter then. */
  isRedeemed: boolean;
  lines: CartLine[];
}

/** CART_LOCKED: a checkout has the cart. */
export const cartLocked = () => fault("aborted", "CART_LOCKED", "A checkout of this cart is under way.");

/** CART_CONVERTED: the cart was bought. */
export const cartConverted = () =>
  fault("failed_precondition", "CART_CONVERTED", "This cart was bought already.");

/** CART_CLAIMED: the cart is part of a user's. */
export const cartClaimed = () =>
  fault("failed_precondition", "CART_CLAIMED", "This cart was merged into a user's cart.");

/** QUANTITY_LIMIT: a line would hold more units than it may. */
export const quantityLimit = () =>
  fault("failed_precondition", "QUANTITY_LIMIT", `A line holds at most ${quantityMax} units.`, {
    metadata: { quantityMax: String(quantityMax) },
  });

/** CART_LIMIT: the cart would have more lines than it may. */
export const cartLimit = () =>
  fault("failed_precondition", "CART_LIMIT", `A cart has at most ${linesMax} lines.`, {
    metadata: { linesMax: String(linesMax) },
  });

/**
 * Refuses a change of a cart that is not open (CART_LOCKED, CART_CONVERTED, CART_CLAIMED) or not at the version
 * the change is based on (VERSION_MISMATCH).
 */
export function checkWritable(
  cart: { state: CartState; version: number },
  expectedVersion: number | undefined,
): void {
  if (cart.state === "LOCKED") throw cartLocked();
  if (cart.state === "CONVERTED") throw cartConverted();
  if (cart.state === "CLAIMED") throw cartClaimed();
  if (expectedVersion === undefined || expectedVersion === cart.version) return;
  throw fault("aborted", "VERSION_MISMATCH", "The cart has changed since the version this is based on.", {
    metadata: { expectedVersion: String(expectedVersion), version: String(cart.version) },
  });
}

/** The lines with units of a variant added, at the end if it is new. Faults QUANTITY_LIMIT, CART_LIMIT. */
export function withUnits(lines: readonly CartLine[], added: CartLine): CartLine[] {
  const known = lines.find((line) => line.variantId === added.variantId);
  if (!known && lines.length >= linesMax) throw cartLimit();
  const quantity = (known?.quantity ?? 0) + added.quantity;
  if (quantity > quantityMax) throw quantityLimit();
  if (!known) return [...lines, added];
  return lines.map((line) => (line === known ? { ...line, quantity } : line));
}

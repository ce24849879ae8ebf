import type { Params } from "@mall/kernel/db/statement";
import { type Id, uuidOf } from "@mall/kernel/id";
import { sql } from "drizzle-orm";
import type { CartState } from "../domain/cart";

/** A cart and by what right it is asked for; a cart that is not held is not found by any statement. */
export interface Held {
  cartId: Id<"cart">;
  /** Opens the cart of this user. */
  userId?: Id<"usr">;
  /** Whether the cart's secret was presented: opens the cart if it is a guest's. */
  bySecret: boolean;
}

export interface HeldParams {
  cartId: string;
  userId: string | null;
  bySecret: boolean;
}

export const heldParams = ({ cartId, userId, bySecret }: Held): HeldParams => ({
  cartId: uuidOf(cartId),
  userId: userId ? uuidOf(userId) : null,
  bySecret,
});

// Every change of a cart is one statement that locks the cart's row first: what follows decides on the newest
// row, and the row that comes back says why nothing was done. Lines are seen as of the start of the
// statement; limits that must hold against concurrent changes therefore are CHECKs on the cart's row or the
// line's own row.
export const held = (
  p: Params<HeldParams>,
) => sql`select id, state, checkout_id, version, line_count, coupon_code, unlocks from "cart".carts
  where id = ${p.cartId}::uuid
    and (user_id = ${p.userId}::uuid or (user_id is null and ${p.bySecret}::boolean))
  for update`;

export interface ChangeParams extends HeldParams {
  expectedVersion: number | null;
  now: Date;
}

export const writable = (p: Params<ChangeParams>) => sql`held.state = 'OPEN'
  and (${p.expectedVersion}::int is null or held.version = ${p.expectedVersion}::int)`;

/** A change of a cart: which one, on which version it is based, and when it happens. */
export interface Change {
  held: Held;
  expectedVersion?: number;
  now: Date;
}

export const changeParams = (change: Change): ChangeParams => ({
  ...heldParams(change.held),
  expectedVersion: change.expectedVersion ?? null,
  now: change.now,
});

/** What a change met: the cart as it was, and whether the change found something to do. */
export interface Outcome {
  state: CartState;
  version: number;
  /** Whether the cart is another one now; the version has grown then. */
  changed: boolean;
}

import type { Session, Tx } from "@mall/kernel/db/client";
import { type Params, sqlStatement } from "@mall/kernel/db/statement";
import { type Id, idOf, uuidOf } from "@mall/kernel/id";
import { sql } from "drizzle-orm";
import type { CartLine, CartState } from "../domain/cart";
import type { Coupon } from "../domain/coupon";
import { type CouponText, textToCoupon } from "./coupons";
import { type Held, type HeldParams, held, heldParams } from "./held";

/** What a lock met: the cart as it was before, and its lines, which the lock keeps as they are. */
export interface LockOutcome {
  state: CartState;
  checkoutId?: Id<"chk">;
  /** Whether this checkout gave the cart back before. */
  isFenced: boolean;
  lines: CartLine[];
  coupon?: Coupon;
}

interface LockRow extends CouponText {
  state: CartState;
  checkout: string | null;
  fresh: boolean;
  fenced: boolean;
  variant: string | null;
  quantity: number;
}

interface LockParams extends HeldParams {
  checkoutId: string;
}

const isFenced = (p: Params<LockParams>) => sql`exists (select from "cart".lock_fences f
  where f.cart_id = held.id and f.checkout_id = ${p.checkoutId}::uuid)`;

// A statement that waited for the row decides on the newest row, but sees lines and fences as they were when it
// began. It therefore takes the cart only when the row still is what it was then.
const lock = sqlStatement<LockParams, LockRow>(
  (p) => sql`with held as (${held(p)}), known as (
      select held.*, ${isFenced(p)} as fenced,
        exists (select from "cart".carts c
          where c.id = held.id and c.version = held.version and c.unlocks = held.unlocks) as fresh
      from held
    ), locked as (
      update "cart".carts c set state = 'LOCKED', checkout_id = ${p.checkoutId}::uuid
      from known
      where c.id = known.id and known.fresh and not known.fenced and known.state = 'OPEN'
        and known.line_count > 0
    )
    select known.state, known.checkout_id as checkout, known.fresh, known.fenced,
      i.variant_id as variant, i.quantity, u.code, u.amount, u.currency, u.redemption_limit,
      u.redeemed, u.expires_at, u.created_at
    from known left join "cart".coupons u on u.code = known.coupon_code
      left join "cart".cart_items i on i.cart_id = known.id
    order by i.position, i.variant_id`,
);

/**
 * Locks an open cart that has lines for a checkout which did not give it back before. Undefined when the cart is not
 * held; "stale" when it changed while the statement waited for it: nothing was done, try again after `awaitCart`.
 */
export async function lockLines(
  session: Session,
  cart: Held,
  checkoutId: Id<"chk">,
): Promise<LockOutcome | "stale" | undefined> {
  const rows = await lock(session, { ...heldParams(cart), checkoutId: uuidOf(checkoutId) });
  const [row] = rows;
  if (!row) return undefined;
  if (!row.fresh) return "stale";
  return {
    state: row.state,
    checkoutId: row.checkout ? idOf("chk", row.checkout) : undefined,
    isFenced: row.fenced,
    lines: rows.flatMap(({ variant, quantity }) =>
      variant ? [{ variantId: idOf("var", variant), quantity }] : [],
    ),
    coupon: row.code === null ? undefined : textToCoupon(row),
  };
}

const awaitRow = sqlStatement<{ cartId: string }, object>(
  (p) => sql`select 1 from "cart".carts where id = ${p.cartId}::uuid for update`,
);

/** Locks the row of a cart, so that the statements that follow in this transaction see all of it. */
export async function awaitCart(tx: Tx, cartId: Id<"cart">): Promise<void> {
  await awaitRow(tx, { cartId: uuidOf(cartId) });
}

const unlock = sqlStatement<{ cartId: string; checkoutId: string; now: Date }, object>(
  (p) => sql`with given as (
      select id, state = 'LOCKED' and checkout_id = ${p.checkoutId}::uuid as mine
      from "cart".carts where id = ${p.cartId}::uuid for update
    ), fenced as (
      insert into "cart".lock_fences (cart_id, checkout_id, created_at)
      select id, ${p.checkoutId}::uuid, ${p.now}::timestamptz from given
      on conflict do nothing
      returning 1
    )
    update "cart".carts c set unlocks = c.unlocks + 1,
      state = case when given.mine then 'OPEN' else c.state end,
      checkout_id = case when given.mine then null else c.checkout_id end,
      reopened_at = case when given.mine then ${p.now}::timestamptz else c.reopened_at end
    from given, fenced where c.id = given.id`,
);

/** Opens a cart that this checkout has locked, and fences it: the checkout can no longer lock it. */
export async function unlockLines(
  session: Session,
  cartId: Id<"cart">,
  checkoutId: Id<"chk">,
  now: Date,
): Promise<void> {
  await unlock(session, { cartId: uuidOf(cartId), checkoutId: uuidOf(checkoutId), now });
}

const convert = sqlStatement<{ cartId: string; checkoutId: string; now: Date }, { converted: boolean }>(
  (p) => sql`with held as (
      select id, state, checkout_id from "cart".carts where id = ${p.cartId}::uuid for update
    ), converted as (
      update "cart".carts c set state = 'CONVERTED', updated_at = ${p.now}::timestamptz
      from held where c.id = held.id and held.state = 'LOCKED' and held.checkout_id = ${p.checkoutId}::uuid
    )
    select coalesce(state <> 'OPEN' and checkout_id = ${p.checkoutId}::uuid, false) as converted from held`,
);

/** Ends a cart that this checkout has locked; whether it has it. Undefined when there is no such cart. */
export const convertLines = async (
  session: Session,
  cartId: Id<"cart">,
  checkoutId: Id<"chk">,
  now: Date,
): Promise<boolean | undefined> =>
  (await convert(session, { cartId: uuidOf(cartId), checkoutId: uuidOf(checkoutId), now }))[0]?.converted;

import { cartItems, carts, coupons, redemptions } from "@mall/db/cart";
import { databaseCode, type Session } from "@mall/kernel/db/client";
import { orm, type Params, sqlStatement, statement } from "@mall/kernel/db/statement";
import { type Id, uuidOf } from "@mall/kernel/id";
import { and, asc, eq, isNull, or, sql } from "drizzle-orm";
import { type Cart, type CartLine, type CartState, cartLimit, quantityLimit } from "../domain/cart";
import { rowToCoupon } from "./coupons";
import {
  type Change,
  type ChangeParams,
  changeParams,
  type Held,
  type HeldParams,
  held,
  heldParams,
  type Outcome,
  writable,
} from "./held";

/** What a change of one line met. */
export interface LineOutcome extends Outcome {
  /** Whether the cart had the line. */
  known: boolean;
}

type CartRow = typeof carts.$inferSelect;
type ItemRow = typeof cartItems.$inferSelect;

/** A row of a cart that is shown: one a line. */
interface ShownRow {
  cart: CartRow;
  coupon: typeof coupons.$inferSelect | null;
  /** The checkout that has the cart, if it redeemed the coupon. */
  redeemer: Id<"chk"> | null;
  item: ItemRow | null;
}

function rowsToCart(rows: ShownRow[]): Cart | undefined {
  if (!rows[0]) return undefined;
  const { cart, coupon, redeemer } = rows[0];
  return {
    id: cart.id,
    userId: cart.userId ?? undefined,
    state: cart.state as CartState,
    version: cart.version,
    createdAt: cart.createdAt,
    updatedAt: cart.updatedAt,
    reopenedAt: cart.reopenedAt ?? undefined,
    coupon: coupon ? rowToCoupon(coupon) : undefined,
    isRedeemed: redeemer !== null,
    lines: rows.flatMap(({ item }) => (item ? [{ variantId: item.variantId, quantity: item.quantity }] : [])),
  };
}

/** A cart with its coupon and its lines. */
const shown = () =>
  orm
    .select({ cart: carts, coupon: coupons, redeemer: redemptions.checkoutId, item: cartItems })
    .from(carts)
    .leftJoin(coupons, eq(coupons.code, carts.couponCode))
    .leftJoin(
      redemptions,
      and(
        eq(redemptions.checkoutId, carts.checkoutId),
        eq(redemptions.code, carts.couponCode),
        sql`${redemptions.state} = 'redeemed'`,
      ),
    )
    .leftJoin(cartItems, eq(cartItems.cartId, carts.id));

const selectHeld = statement("find_cart", (p: Params<HeldParams>) =>
  shown()
    .where(
      and(
        eq(carts.id, p.cartId),
        or(eq(carts.userId, p.userId), and(isNull(carts.userId), sql`${p.bySecret}::boolean`)),
      ),
    )
    .orderBy(asc(cartItems.position), asc(cartItems.variantId)),
);

/** A held cart with its lines. */
export const findCart = async (session: Session, held: Held): Promise<Cart | undefined> =>
  rowsToCart(await selectHeld(session, heldParams(held)));

const selectActive = statement("find_active_cart", (p: Params<{ userId: string }>) =>
  shown()
    .where(and(eq(carts.userId, p.userId), sql`${carts.state} in ('OPEN', 'LOCKED')`))
    .orderBy(asc(cartItems.position), asc(cartItems.variantId)),
);

/** The one cart of a user that is not bought yet, with its lines. */
export const findActiveCart = async (session: Session, userId: Id<"usr">): Promise<Cart | undefined> =>
  rowsToCart(await selectActive(session, { userId }));

const insert = sqlStatement<{ id: string; userId: string | null; now: Date }, { id: string }>(
  (p) => sql`insert into "cart".carts (id, user_id, state, created_at, updated_at)
    values (${p.id}, ${p.userId}, 'OPEN', ${p.now}, ${p.now}) on conflict do nothing returning id`,
);

/** Stores a new empty cart; undefined when the user has an active one. */
export async function insertCart(
  session: Session,
  id: Id<"cart">,
  userId: Id<"usr"> | undefined,
  now: Date,
): Promise<Cart | undefined> {
  const made = await insert(session, { id: uuidOf(id), userId: userId ? uuidOf(userId) : null, now });
  if (made.length === 0) return undefined;
  return {
    ...{ id, userId, state: "OPEN", version: 1, createdAt: now, updatedAt: now },
    ...{ isRedeemed: false, lines: [] },
  };
}

const limitFaults: Record<string, () => Error> = {
  carts_line_count: cartLimit,
  cart_items_quantity: quantityLimit,
};

/** The fault of the limit whose CHECK refused a statement; other errors stay as they are. */
function limitFault(error: unknown): unknown {
  const name =
    databaseCode(error) === "23514" ? (error as { constraint_name?: string }).constraint_name : undefined;
  return limitFaults[name ?? ""]?.() ?? error;
}

const add = sqlStatement<ChangeParams & { variantId: string; quantity: number }, LineOutcome>(
  (p) => sql`with held as (${held(p)}), line as (
      insert into "cart".cart_items as known (cart_id, variant_id, quantity, position, added_at)
      select held.id, ${p.variantId}::uuid, ${p.quantity}::int, held.version + 1, ${p.now}::timestamptz
      from held where ${writable(p)}
      on conflict (cart_id, variant_id) do update set quantity = known.quantity + excluded.quantity
      returning position
    ), bumped as (
      update "cart".carts c set version = held.version + 1, updated_at = ${p.now}::timestamptz,
        line_count = held.line_count + (line.position > held.version)::int
      from held, line where c.id = held.id
    )
    select held.state, held.version, line.position is not null as changed,
      line.position <= held.version as known
    from held left join line on true`,
);

/** Adds units of a variant. Faults QUANTITY_LIMIT and CART_LIMIT; undefined when the cart is not held. */
export async function addUnits(
  session: Session,
  change: Change,
  line: CartLine,
): Promise<LineOutcome | undefined> {
  try {
    const { variantId, quantity } = line;
    return (await add(session, { ...changeParams(change), variantId: uuidOf(variantId), quantity }))[0];
  } catch (error) {
    throw limitFault(error);
  }
}

const set = sqlStatement<ChangeParams & { variantId: string; quantity: number }, LineOutcome>(
  (p) => sql`with held as (${held(p)}), line as (
      update "cart".cart_items i set quantity = ${p.quantity}::int from held
      where i.cart_id = held.id and i.variant_id = ${p.variantId}::uuid and i.quantity <> ${p.quantity}::int
        and ${writable(p)}
      returning i.variant_id
    ), bumped as (
      update "cart".carts c set version = held.version + 1, updated_at = ${p.now}::timestamptz
      from held, line where c.id = held.id
    )
    select held.state, held.version, exists (select from line) as changed,
      exists (select from "cart".cart_items i
        where i.cart_id = held.id and i.variant_id = ${p.variantId}::uuid) as known
    from held`,
);

/** Sets the units of a line, which is no change if it has them. Undefined when the cart is not held. */
export async function setUnits(
  session: Session,
  change: Change,
  line: CartLine,
): Promise<LineOutcome | undefined> {
  const { variantId, quantity } = line;
  return (await set(session, { ...changeParams(change), variantId: uuidOf(variantId), quantity }))[0];
}

const remove = sqlStatement<ChangeParams & { variantId: string | null }, LineOutcome>(
  (p) => sql`with held as (${held(p)}), gone as (
      delete from "cart".cart_items i using held
      where i.cart_id = held.id and (${p.variantId}::uuid is null or i.variant_id = ${p.variantId}::uuid)
        and ${writable(p)}
      returning i.variant_id
    ), counted as (select count(*)::int as n from gone), bumped as (
      update "cart".carts c set version = held.version + 1, updated_at = ${p.now}::timestamptz,
        line_count = held.line_count - counted.n
      from held, counted where c.id = held.id and counted.n > 0
    )
    select held.state, held.version, counted.n > 0 as changed, counted.n > 0 as known from held, counted`,
);

/** Removes a line, or all without `variantId`; none is no change. Undefined when the cart is not held. */
export const removeLines = async (
  session: Session,
  change: Change,
  variantId?: Id<"var">,
): Promise<LineOutcome | undefined> =>
  (await remove(session, { ...changeParams(change), variantId: variantId ? uuidOf(variantId) : null }))[0];

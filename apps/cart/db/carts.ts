import { cartItems, carts } from "@mall/db/cart";
import { databaseCode, type Session } from "@mall/kernel/db/client";
import { orm, type Params, sqlStatement, statement } from "@mall/kernel/db/statement";
import { type Id, idOf, uuidOf } from "@mall/kernel/id";
import { and, asc, eq, isNull, or, sql } from "drizzle-orm";
import { type Cart, type CartLine, type CartState, cartLimit, quantityLimit } from "../domain/cart";

/** A cart and by what right it is asked for; a cart that is not held is not found by any statement. */
export interface Held {
  cartId: Id<"cart">;
  /** Opens the cart of this user. */
  userId?: Id<"usr">;
  /** Whether the cart's secret was presented: opens the cart if it is a guest's. */
  bySecret: boolean;
}

/** What a change met: the cart as it was, and whether the change found something to do. */
export interface Outcome {
  state: CartState;
  version: number;
  /** Whether the lines are other ones now; the version has grown then. */
  changed: boolean;
  /** Whether the cart had the line. */
  known: boolean;
}

type CartRow = typeof carts.$inferSelect;
type ItemRow = typeof cartItems.$inferSelect;

function rowsToCart(rows: { cart: CartRow; item: ItemRow | null }[]): Cart | undefined {
  const cart = rows[0]?.cart;
  if (!cart) return undefined;
  return {
    id: cart.id,
    userId: cart.userId ?? undefined,
    state: cart.state as CartState,
    version: cart.version,
    createdAt: cart.createdAt,
    updatedAt: cart.updatedAt,
    lines: rows.flatMap(({ item }) => (item ? [{ variantId: item.variantId, quantity: item.quantity }] : [])),
  };
}

interface HeldParams {
  cartId: string;
  userId: string | null;
  bySecret: boolean;
}

const heldParams = ({ cartId, userId, bySecret }: Held): HeldParams => ({
  cartId: uuidOf(cartId),
  userId: userId ? uuidOf(userId) : null,
  bySecret,
});

const selectHeld = statement("find_cart", (p: Params<HeldParams>) =>
  orm
    .select({ cart: carts, item: cartItems })
    .from(carts)
    .leftJoin(cartItems, eq(cartItems.cartId, carts.id))
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
  orm
    .select({ cart: carts, item: cartItems })
    .from(carts)
    .leftJoin(cartItems, eq(cartItems.cartId, carts.id))
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
  return { id, userId, state: "OPEN", version: 1, createdAt: now, updatedAt: now, lines: [] };
}

// Every change below is one statement that locks the cart's row first: what follows decides on the newest
// row, and the row that comes back says why nothing was done. Lines are seen as of the start of the
// statement; limits that must hold against concurrent changes therefore are CHECKs on the cart's row or the
// line's own row.
const held = (
  p: Params<HeldParams>,
) => sql`select id, state, checkout_id, version, line_count from "cart".carts
  where id = ${p.cartId}::uuid
    and (user_id = ${p.userId}::uuid or (user_id is null and ${p.bySecret}::boolean))
  for update`;

interface ChangeParams extends HeldParams {
  expectedVersion: number | null;
  now: Date;
}

const writable = (p: Params<ChangeParams>) => sql`held.state = 'OPEN'
  and (${p.expectedVersion}::int is null or held.version = ${p.expectedVersion}::int)`;

/** A change of lines: which cart, on which version it is based, and when it happens. */
export interface Change {
  held: Held;
  expectedVersion?: number;
  now: Date;
}

const changeParams = (change: Change): ChangeParams => ({
  ...heldParams(change.held),
  expectedVersion: change.expectedVersion ?? null,
  now: change.now,
});

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

const add = sqlStatement<ChangeParams & { variantId: string; quantity: number }, Outcome>(
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
): Promise<Outcome | undefined> {
  try {
    const { variantId, quantity } = line;
    return (await add(session, { ...changeParams(change), variantId: uuidOf(variantId), quantity }))[0];
  } catch (error) {
    throw limitFault(error);
  }
}

const set = sqlStatement<ChangeParams & { variantId: string; quantity: number }, Outcome>(
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
): Promise<Outcome | undefined> {
  const { variantId, quantity } = line;
  return (await set(session, { ...changeParams(change), variantId: uuidOf(variantId), quantity }))[0];
}

const remove = sqlStatement<ChangeParams & { variantId: string | null }, Outcome>(
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
): Promise<Outcome | undefined> =>
  (await remove(session, { ...changeParams(change), variantId: variantId ? uuidOf(variantId) : null }))[0];

interface LockRow {
  state: CartState;
  checkout: string | null;
  version: number;
  seen: number;
  count: number;
  variant: string | null;
  quantity: number;
}

const lock = sqlStatement<HeldParams & { checkoutId: string }, LockRow>(
  (p) => sql`with held as (${held(p)}), locked as (
      update "cart".carts c set state = 'LOCKED', checkout_id = ${p.checkoutId}::uuid
      from held where c.id = held.id and held.state = 'OPEN' and held.line_count > 0
    )
    select held.state, held.checkout_id as checkout, held.version, held.line_count as count,
      (select c.version from "cart".carts c where c.id = held.id) as seen, i.variant_id as variant, i.quantity
    from held left join "cart".cart_items i on i.cart_id = held.id
    order by i.position, i.variant_id`,
);

const selectLines = statement("find_cart_lines", (p: Params<{ cartId: string }>) =>
  orm
    .select({ variantId: cartItems.variantId, quantity: cartItems.quantity })
    .from(cartItems)
    .where(eq(cartItems.cartId, p.cartId))
    .orderBy(asc(cartItems.position), asc(cartItems.variantId)),
);

/** What a lock met: the cart as it was before, and its lines, which the lock keeps as they are. */
export interface LockOutcome {
  state: CartState;
  checkoutId?: Id<"chk">;
  lines: CartLine[];
}

/** Locks an open cart that has lines for a checkout. Undefined when the cart is not held. */
export async function lockLines(
  session: Session,
  held: Held,
  checkoutId: Id<"chk">,
): Promise<LockOutcome | undefined> {
  const rows = await lock(session, { ...heldParams(held), checkoutId: uuidOf(checkoutId) });
  const [row] = rows;
  if (!row) return undefined;
  // a change that committed while this statement waited for the row is in the version but not in the lines it
  // saw
  const lines =
    row.seen === row.version
      ? rows.flatMap(({ variant, quantity }) =>
          variant ? [{ variantId: idOf("var", variant), quantity }] : [],
        )
      : await selectLines(session, { cartId: held.cartId });
  return { state: row.state, checkoutId: row.checkout ? idOf("chk", row.checkout) : undefined, lines };
}

const unlock = sqlStatement<{ cartId: string; checkoutId: string }, object>(
  (p) => sql`update "cart".carts set state = 'OPEN', checkout_id = null
    where id = ${p.cartId} and state = 'LOCKED' and checkout_id = ${p.checkoutId}`,
);

/** Opens a cart that this checkout has locked; does nothing to any other. */
export async function unlockLines(
  session: Session,
  cartId: Id<"cart">,
  checkoutId: Id<"chk">,
): Promise<void> {
  await unlock(session, { cartId: uuidOf(cartId), checkoutId: uuidOf(checkoutId) });
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

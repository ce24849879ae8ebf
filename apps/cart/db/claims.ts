import type { Tx } from "@mall/kernel/db/client";
import { sqlStatement } from "@mall/kernel/db/statement";
import { type Id, idOf, uuidOf } from "@mall/kernel/id";
import { sql } from "drizzle-orm";
import type { CartLine, CartState } from "../domain/cart";
import { type Held, type HeldParams, heldParams } from "./held";

/** A cart of a claim, locked until the transaction ends. */
export interface ClaimCart {
  id: Id<"cart">;
  userId?: Id<"usr">;
  state: CartState;
  version: number;
  couponCode?: string;
  claimedInto?: Id<"cart">;
}

interface ClaimRow {
  id: string;
  user_id: string | null;
  state: CartState;
  version: number;
  coupon_code: string | null;
  claimed_into: string | null;
}

const rowToCart = (row: ClaimRow): ClaimCart => ({
  id: idOf("cart", row.id),
  userId: row.user_id ? idOf("usr", row.user_id) : undefined,
  state: row.state,
  version: row.version,
  couponCode: row.coupon_code ?? undefined,
  claimedInto: row.claimed_into ? idOf("cart", row.claimed_into) : undefined,
});

// in order of id: claims that share carts wait for each other and never in a circle
const lockPair = sqlStatement<HeldParams, ClaimRow>(
  (p) => sql`select id, user_id, state, version, coupon_code, claimed_into from "cart".carts
    where (id = ${p.cartId}::uuid and (user_id = ${p.userId}::uuid or (user_id is null and ${p.bySecret}::boolean)))
      or (user_id = ${p.userId}::uuid and state in ('OPEN', 'LOCKED'))
    order by id for update`,
);

/** Locks the cart that is claimed, if the user or its secret opens it, and the one that the user has, if any. */
export async function lockForClaim(
  tx: Tx,
  claimed: Held,
): Promise<{ theirs: ClaimCart | undefined; mine: ClaimCart | undefined }> {
  const locked = (await lockPair(tx, heldParams(claimed))).map(rowToCart);
  return {
    theirs: locked.find(({ id }) => id === claimed.cartId),
    mine: locked.find(({ id }) => id !== claimed.cartId),
  };
}

const adopt = sqlStatement<{ cartId: string; userId: string; now: Date }, object>(
  (p) => sql`update "cart".carts set user_id = ${p.userId}::uuid, updated_at = ${p.now}::timestamptz
    where id = ${p.cartId}::uuid`,
);

/** Makes a guest's locked cart the user's. Database error 23505 when the user got another one meanwhile. */
export async function adoptCart(tx: Tx, cartId: Id<"cart">, userId: Id<"usr">, now: Date): Promise<void> {
  await adopt(tx, { cartId: uuidOf(cartId), userId: uuidOf(userId), now });
}

const selectLines = sqlStatement<
  { mine: string; theirs: string },
  { cart: string; variant: string; quantity: number }
>(
  (p) => sql`select cart_id as cart, variant_id as variant, quantity from "cart".cart_items
    where cart_id in (${p.mine}::uuid, ${p.theirs}::uuid) order by position, variant_id`,
);

/** The lines of two locked carts. */
export async function linesOfBoth(
  tx: Tx,
  mine: Id<"cart">,
  theirs: Id<"cart">,
): Promise<{ mine: CartLine[]; theirs: CartLine[] }> {
  const rows = await selectLines(tx, { mine: uuidOf(mine), theirs: uuidOf(theirs) });
  const linesOf = (id: Id<"cart">) =>
    rows
      .filter(({ cart }) => cart === uuidOf(id))
      .map(({ variant, quantity }) => ({ variantId: idOf("var", variant), quantity }));
  return { mine: linesOf(mine), theirs: linesOf(theirs) };
}

interface MergeParams {
  mine: string;
  theirs: string;
  lines: string;
  version: number;
  grown: number;
  lineCount: number;
  couponCode: string | null;
  now: Date;
}

const merge = sqlStatement<MergeParams, object>(
  (p) => sql`with added as (
      insert into "cart".cart_items (cart_id, variant_id, quantity, position, added_at)
      select ${p.mine}::uuid, l.variant, l.quantity, ${p.version}::int + l.position, ${p.now}::timestamptz
      from jsonb_to_recordset(${p.lines}::text::jsonb) as l(variant uuid, quantity int, position int)
      on conflict (cart_id, variant_id) do update set quantity = excluded.quantity
    ), grown as (
      update "cart".carts set version = ${p.version}::int + ${p.grown}::int, line_count = ${p.lineCount}::int,
        coupon_code = ${p.couponCode}::text, updated_at = ${p.now}::timestamptz,
        reopened_at = greatest(reopened_at, (select reopened_at from "cart".carts where id = ${p.theirs}::uuid))
      where id = ${p.mine}::uuid and ${p.grown}::int > 0
    )
    update "cart".carts set state = 'CLAIMED', claimed_into = ${p.mine}::uuid, updated_at = ${p.now}::timestamptz
    where id = ${p.theirs}::uuid`,
);

/** What a merge makes of two locked carts. */
export interface Merge {
  mine: ClaimCart;
  theirs: ClaimCart;
  /** Lines of the user's cart that are new or have another quantity now, in the order of the new ones. */
  changed: readonly CartLine[];
  /** Number of lines that the user's cart has now. */
  lineCount: number;
  couponCode?: string;
  now: Date;
}

/**
 * Writes the merge into the user's cart and ends the guest's, which keeps its lines as a record. The version grows by
 * one for each changed line, because that is the line's position.
 */
export async function saveMerge(
  tx: Tx,
  { mine, theirs, changed, lineCount, couponCode, now }: Merge,
): Promise<void> {
  const lines = changed.map(({ variantId, quantity }, index) => ({
    ...{ variant: uuidOf(variantId), quantity, position: index + 1 },
  }));
  await merge(tx, {
    ...{ mine: uuidOf(mine.id), theirs: uuidOf(theirs.id), lines: JSON.stringify(lines) },
    ...{ version: mine.version, lineCount, couponCode: couponCode ?? null, now },
    grown: Math.max(lines.length, couponCode === mine.couponCode ? 0 : 1),
  });
}

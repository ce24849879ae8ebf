import { coupons } from "@mall/db/cart";
import { databaseCode, type Session, type Tx } from "@mall/kernel/db/client";
import { orm, type Params, sqlStatement, statement } from "@mall/kernel/db/statement";
import { type Id, uuidOf } from "@mall/kernel/id";
import { eq, sql } from "drizzle-orm";
import type { Coupon } from "../domain/coupon";
import { type Change, type ChangeParams, changeParams, held, type Outcome, writable } from "./held";

/** A coupon of a row. */
export const rowToCoupon = (row: typeof coupons.$inferSelect): Coupon => ({
  code: row.code,
  amount: { currency: row.currency, minor: row.amount },
  redemptionLimit: row.redemptionLimit,
  redeemed: row.redeemed,
  expiresAt: row.expiresAt ?? undefined,
  createdAt: row.createdAt,
});

/** A coupon as statements in SQL text bring it. */
export interface CouponText {
  code: string | null;
  amount: string;
  currency: string;
  redemption_limit: number;
  redeemed: number;
  expires_at: string | null;
  created_at: string;
}

/** A coupon of a row that has one. */
export const textToCoupon = (row: CouponText): Coupon => ({
  code: row.code!,
  amount: { currency: row.currency, minor: BigInt(row.amount) },
  redemptionLimit: row.redemption_limit,
  redeemed: row.redeemed,
  expiresAt: row.expires_at ? new Date(row.expires_at) : undefined,
  createdAt: new Date(row.created_at),
});

const selectCoupon = statement("find_coupon", (p: Params<{ code: string }>) =>
  orm.select().from(coupons).where(eq(coupons.code, p.code)),
);

/** The coupon of a code, which is upper case. */
export async function findCoupon(session: Session, code: string): Promise<Coupon | undefined> {
  const [row] = await selectCoupon(session, { code });
  return row && rowToCoupon(row);
}

/** Stores a new coupon; false when its code is taken. */
export async function insertCoupon(tx: Tx, coupon: Coupon): Promise<boolean> {
  const { amount, ...rest } = coupon;
  const row = { ...rest, amount: amount.minor, currency: amount.currency };
  const made = await tx.orm
    .insert(coupons)
    .values(row)
    .onConflictDoNothing()
    .returning({ code: coupons.code });
  return made.length === 1;
}

const put = sqlStatement<ChangeParams & { code: string | null }, Outcome>(
  (p) => sql`with held as (${held(p)}), bumped as (
      update "cart".carts c set coupon_code = ${p.code}::text, version = held.version + 1,
        updated_at = ${p.now}::timestamptz
      from held
      where c.id = held.id and ${writable(p)} and held.coupon_code is distinct from ${p.code}::text
      returning 1
    )
    select held.state, held.version, exists (select from bumped) as changed from held`,
);

/** Puts a coupon on a cart, or takes it off without `code`. Undefined when the cart is not held. */
export const putCoupon = async (
  session: Session,
  change: Change,
  code?: string,
): Promise<Outcome | undefined> => (await put(session, { ...changeParams(change), code: code ?? null }))[0];

// The redemption comes before the coupon here as in `release`, so that the two never wait for each other. What a
// coupon is besides `redeemed` never changes; the CHECK on that decides, on the newest row, and its violation takes
// the redemption back too.
const redeem = sqlStatement<{ code: string; checkoutId: string; currency: string; now: Date }, CouponText>(
  (p) => sql`with taken as (
      insert into "cart".redemptions (checkout_id, code, state, created_at, updated_at)
      select ${p.checkoutId}::uuid, c.code, 'redeemed', ${p.now}::timestamptz, ${p.now}::timestamptz
      from "cart".coupons c
      where c.code = ${p.code} and c.currency = ${p.currency} and c.redeemed < c.redemption_limit
        and (c.expires_at is null or c.expires_at > ${p.now}::timestamptz)
      on conflict do nothing
      returning code
    )
    update "cart".coupons c set redeemed = c.redeemed + 1 where c.code = (select code from taken)
    returning c.code, c.amount, c.currency, c.redemption_limit, c.redeemed, c.expires_at, c.created_at`,
);

const selectRedeemed = sqlStatement<{ code: string; checkoutId: string }, CouponText>(
  (p) => sql`select c.code, c.amount, c.currency, c.redemption_limit, c.redeemed, c.expires_at, c.created_at
    from "cart".redemptions r join "cart".coupons c on c.code = r.code
    where r.checkout_id = ${p.checkoutId} and r.state = 'redeemed' and r.code = ${p.code}`,
);

/** Whether the limit of a coupon refused a statement. */
const isUsedUp = (error: unknown): boolean =>
  databaseCode(error) === "23514" &&
  (error as { constraint_name?: string }).constraint_name === "coupons_redeemed";

/** A redemption: of which coupon, by which checkout, in which currency, and when. */
export interface Redemption {
  code: string;
  checkoutId: Id<"chk">;
  currency: string;
  now: Date;
}

/**
 * Redeems a coupon for a checkout that has not redeemed or released one before. Returns the coupon, also when this
 * checkout has redeemed it already; undefined when it cannot be redeemed.
 */
export async function redeemOnce(session: Session, redemption: Redemption): Promise<Coupon | undefined> {
  const { code, currency, now } = redemption;
  const checkoutId = uuidOf(redemption.checkoutId);
  const taken = await redeem(session, { code, checkoutId, currency, now }).catch((error: unknown) => {
    if (isUsedUp(error)) return [];
    throw error;
  });
  const [row] = taken.length > 0 ? taken : await selectRedeemed(session, { code, checkoutId });
  return row && textToCoupon(row);
}

// It waits for the redemption to commit, which is younger than what this statement sees of the coupon: the CHECK would
// refuse the old count minus one before the update looks for the newest row. So that row is locked and read first.
const release = sqlStatement<{ checkoutId: string; now: Date }, object>(
  (p) => sql`with released as (
      insert into "cart".redemptions as known (checkout_id, code, state, created_at, updated_at)
      values (${p.checkoutId}::uuid, null, 'released', ${p.now}::timestamptz, ${p.now}::timestamptz)
      on conflict (checkout_id) do update set state = 'released', updated_at = excluded.updated_at
        where known.state = 'redeemed'
      returning code
    ), given as (
      select code, redeemed from "cart".coupons where code = (select code from released) for update
    )
    update "cart".coupons c set redeemed = given.redeemed - 1 from given where c.code = given.code`,
);

/** Gives the redemption of a checkout back, once; from then on the checkout can not redeem. */
export async function releaseOnce(session: Session, checkoutId: Id<"chk">, now: Date): Promise<void> {
  await release(session, { checkoutId: uuidOf(checkoutId), now });
}

import { checkouts } from "@mall/db/checkout";
import type { Session, Tx } from "@mall/kernel/db/client";
import { orm, type Params, sqlStatement, statement } from "@mall/kernel/db/statement";
import { type Id, idOf, uuidOf } from "@mall/kernel/id";
import { eq, sql } from "drizzle-orm";
import { type Checkout, type CheckoutState, checkMove } from "../domain/checkout";

function rowToCheckout({ total, currency, ...row }: typeof checkouts.$inferSelect): Checkout {
  return {
    ...row,
    userId: row.userId ?? undefined,
    state: row.state as CheckoutState,
    total: { currency, minor: total },
    owes: row.owes ?? undefined,
    refusal: (row.refusal as Checkout["refusal"] | null) ?? undefined,
    expiresAt: row.expiresAt ?? undefined,
  };
}

const selectCheckout = statement("find_checkout", (p: Params<{ id: string }>) =>
  orm.select().from(checkouts).where(eq(checkouts.id, p.id)),
);

export async function findCheckout(session: Session, id: Id<"chk">): Promise<Checkout | undefined> {
  const [row] = await selectCheckout(session, { id });
  return row && rowToCheckout(row);
}

interface InsertParams {
  id: string;
  cartId: string;
  userId: string | null;
  orderId: string;
  paymentId: string;
  paysAtOnce: boolean;
  currency: string;
  owes: string | null;
  leaseUntil: Date;
  now: Date;
}

const insert = sqlStatement<InsertParams, object>(
  (
    p,
  ) => sql`insert into checkout.checkouts (id, cart_id, user_id, state, order_id, payment_id, pays_at_once, total,
      currency, owes, lease_until, created_at, updated_at)
    values (${p.id}, ${p.cartId}, ${p.userId}, 'STARTED', ${p.orderId}, ${p.paymentId}, ${p.paysAtOnce}, 0,
      ${p.currency}, ${p.owes}::text::jsonb, ${p.leaseUntil}, ${p.now}::timestamptz, ${p.now}::timestamptz)`,
);

/** Stores a checkout that has just started. */
export async function insertCheckout(tx: Tx, checkout: Checkout): Promise<void> {
  await insert(tx, {
    id: uuidOf(checkout.id),
    cartId: uuidOf(checkout.cartId),
    userId: checkout.userId ? uuidOf(checkout.userId) : null,
    orderId: uuidOf(checkout.orderId),
    paymentId: uuidOf(checkout.paymentId),
    paysAtOnce: checkout.paysAtOnce,
    currency: checkout.total.currency,
    owes: checkout.owes ? JSON.stringify(checkout.owes) : null,
    leaseUntil: checkout.leaseUntil,
    now: checkout.createdAt,
  });
}

const remove = sqlStatement<{ id: string }, object>(
  (p) => sql`delete from checkout.checkouts where id = ${p.id} and state in ('STARTED', 'COMPENSATING')`,
);

/** Forgets a checkout that was refused before it did anything. */
export async function deleteCheckout(tx: Tx, id: Id<"chk">): Promise<void> {
  await remove(tx, { id: uuidOf(id) });
}

interface MoveParams {
  id: string;
  version: number;
  state: string;
  paymentId: string;
  total: string;
  currency: string;
  failureReason: string;
  refusal: string | null;
  owes: string | null;
  expiresAt: Date | null;
  leaseUntil: Date;
  now: Date;
}

const update = sqlStatement<MoveParams, { version: number }>(
  (p) => sql`update checkout.checkouts set state = ${p.state}, payment_id = ${p.paymentId},
      total = ${p.total}::text::bigint, currency = ${p.currency}, failure_reason = ${p.failureReason},
      refusal = ${p.refusal}::text::jsonb, owes = ${p.owes}::text::jsonb, expires_at = ${p.expiresAt}, lease_until = ${p.leaseUntil},
      version = version + 1, updated_at = ${p.now}
    where id = ${p.id} and version = ${p.version} returning version`,
);

export type CheckoutChange = Partial<
  Pick<Checkout, "paymentId" | "total" | "failureReason" | "refusal" | "owes" | "expiresAt" | "leaseUntil">
>;

/**
 * Moves a checkout from the version it was decided on; undefined when someone else moved it meanwhile. Fields that
 * the change names as undefined are cleared.
 */
export async function moveCheckout(
  session: Session,
  checkout: Checkout,
  state: CheckoutState,
  change: CheckoutChange,
  now: Date,
): Promise<Checkout | undefined> {
  if (state !== checkout.state) checkMove(checkout, state);
  const next: Checkout = { ...checkout, ...change, state, updatedAt: now };
  const [row] = await update(session, {
    id: uuidOf(next.id),
    version: checkout.version,
    state,
    paymentId: uuidOf(next.paymentId),
    total: String(next.total.minor),
    currency: next.total.currency,
    failureReason: next.failureReason,
    refusal: next.refusal ? JSON.stringify(next.refusal) : null,
    owes: next.owes ? JSON.stringify(next.owes) : null,
    expiresAt: next.expiresAt ?? null,
    leaseUntil: next.leaseUntil,
    now,
  });
  return row && { ...next, version: row.version };
}

const lease = sqlStatement<{ now: Date; leaseUntil: Date }, { id: string }>(
  (p) => sql`update checkout.checkouts set lease_until = ${p.leaseUntil}, version = version + 1
    where id in (
      select id from checkout.checkouts
      where state not in ('COMPLETED', 'FAILED') and lease_until <= ${p.now}
        and (state <> 'AWAITING_PAYMENT' or expires_at <= ${p.now})
      order by lease_until limit 20 for update skip locked)
    returning id`,
);

const shorten = sqlStatement<{ id: string; leaseUntil: Date; retryAt: Date }, object>(
  (p) =>
    sql`update checkout.checkouts set lease_until = ${p.retryAt} where id = ${p.id} and lease_until = ${p.leaseUntil}`,
);

/** Gives a lease back early, unless somebody has renewed it since. */
export async function shortenLease(
  session: Session,
  id: Id<"chk">,
  leaseUntil: Date,
  retryAt: Date,
): Promise<void> {
  await shorten(session, { id: uuidOf(id), leaseUntil, retryAt });
}

/** Takes up to 20 checkouts that nobody works on although something is due. */
export const leaseUnfinished = async (session: Session, now: Date, leaseUntil: Date): Promise<Id<"chk">[]> =>
  (await lease(session, { now, leaseUntil })).map((row) => idOf("chk", row.id));

import { payments } from "@mall/db/payment";
import type { Session, Tx } from "@mall/kernel/db/client";
import { orm, type Params, sqlStatement, statement } from "@mall/kernel/db/statement";
import { type Id, uuidOf } from "@mall/kernel/id";
import { and, asc, eq, gt, inArray, sql } from "drizzle-orm";
import { type Change, checkMove, type Payment, type PaymentState } from "../domain/payment";

type Row = typeof payments.$inferSelect;

const rowToPayment = ({ amount, currency, ...row }: Row): Payment => ({
  ...row,
  userId: row.userId ?? undefined,
  dueAt: row.dueAt ?? undefined,
  state: row.state as PaymentState,
  amount: { currency, minor: amount },
});

const found = (rows: Row[]): Payment | undefined => (rows[0] ? rowToPayment(rows[0]) : undefined);

const selectPayment = statement("find_payment", (p: Params<{ id: string }>) =>
  orm.select().from(payments).where(eq(payments.id, p.id)),
);

export const findPayment = async (session: Session, id: Id<"pay">): Promise<Payment | undefined> =>
  found(await selectPayment(session, { id }));

const lock = statement("lock_payment", (p: Params<{ id: string }>) =>
  orm.select().from(payments).where(eq(payments.id, p.id)).for("no key update"),
);

/** Reads a payment that nobody else changes until the transaction ends. */
export const lockPayment = async (tx: Tx, id: Id<"pay">): Promise<Payment | undefined> =>
  found(await lock(tx, { id }));

const selectByRef = statement("find_payment_by_ref", (p: Params<{ ref: string }>) =>
  orm
    .select()
    .from(payments)
    .where(and(eq(payments.providerRef, p.ref), sql`${payments.providerRef} <> ''`))
    .limit(1),
);

/** The payment that the provider knows by this name. */
export const findByRef = async (session: Session, ref: string): Promise<Payment | undefined> =>
  found(await selectByRef(session, { ref }));

const selectByOrder = statement("list_payments", (p: Params<{ orderId: string }>) =>
  orm.select().from(payments).where(eq(payments.orderId, p.orderId)).orderBy(asc(payments.id)).limit(100),
);

/** The payments of an order, oldest first. */
export const listByOrder = async (session: Session, orderId: Id<"ord">): Promise<Payment[]> =>
  (await selectByOrder(session, { orderId })).map(rowToPayment);

const selectPage = statement(
  "page_of_payments",
  (p: Params<{ after: string; provider: string; limit: number }>) =>
    orm
      .select()
      .from(payments)
      .where(and(gt(payments.id, p.after), eq(payments.provider, p.provider)))
      .orderBy(asc(payments.id))
      .limit(p.limit as never),
);

/** A provider's payments in the order of their ids, those after one of them. */
export const listPage = async (
  session: Session,
  provider: string,
  after: Id<"pay">,
  limit: number,
): Promise<Payment[]> => (await selectPage(session, { provider, after, limit })).map(rowToPayment);

interface InsertParams {
  id: string;
  orderId: string;
  userId: string | null;
  state: string;
  provider: string;
  amount: string;
  currency: string;
  capture: boolean;
  closesOrder: boolean;
  dueAt: Date | null;
  now: Date;
}

const insert = sqlStatement<InsertParams, { id: string }>(
  (p) => sql`insert into payment.payments
    (id, order_id, user_id, state, provider, amount, currency, capture, closes_order, due_at, created_at, updated_at)
    values (${p.id}, ${p.orderId}, ${p.userId}, ${p.state}, ${p.provider}, ${p.amount}::text::bigint, ${p.currency},
      ${p.capture}, ${p.closesOrder}, ${p.dueAt}, ${p.now}::timestamptz, ${p.now}::timestamptz)
    on conflict do nothing returning id`,
);

/** Stores a new payment; false when its id exists, or its order has a live payment or is closed. */
export async function insertPayment(session: Session, payment: Payment): Promise<boolean> {
  const rows = await insert(session, {
    id: uuidOf(payment.id),
    orderId: uuidOf(payment.orderId),
    userId: payment.userId ? uuidOf(payment.userId) : null,
    state: payment.state,
    provider: payment.provider,
    amount: String(payment.amount.minor),
    currency: payment.amount.currency,
    capture: payment.capture,
    closesOrder: payment.closesOrder,
    dueAt: payment.dueAt ?? null,
    now: payment.createdAt,
  });
  return rows.length === 1;
}

type ChangeParams = Required<Omit<Change, "dueAt">> & {
  id: string;
  version: number;
  dueAt: Date | null;
  now: Date;
};

const update = statement("change_payment", (p: Params<ChangeParams>) =>
  orm
    .update(payments)
    .set({
      ...{ state: p.state, captured: p.captured, providerRef: p.providerRef, capture: p.capture },
      ...{ undo: p.undo, closesOrder: p.closesOrder, declineCode: p.declineCode, dueAt: p.dueAt },
      ...{ attempts: 0, version: sql`${payments.version} + 1`, updatedAt: p.now },
    } as never)
    .where(and(eq(payments.id, p.id), eq(payments.version, p.version)))
    .returning(),
);

/** Changes a payment from the version it was decided on; undefined when someone else changed it meanwhile. */
export async function changePayment(
  session: Session,
  payment: Payment,
  change: Change,
  now: Date,
): Promise<Payment | undefined> {
  const { id, version } = payment;
  const { state, captured, providerRef, capture, undo, closesOrder, declineCode, dueAt } = {
    ...payment,
    ...change,
    providerRef: change.providerRef || payment.providerRef,
  };
  if (state !== payment.state) checkMove(payment, state);
  const rows = await update(session, {
    ...{ id, version, state, captured, providerRef, capture, undo, closesOrder, declineCode, now },
    dueAt: dueAt ?? null,
  });
  return found(rows);
}

const close = statement("close_order", (p: Params<{ orderId: string; dueAt: Date; now: Date }>) =>
  orm
    .update(payments)
    .set({
      ...{ undo: true, closesOrder: true, dueAt: p.dueAt, attempts: 0 },
      ...{ version: sql`${payments.version} + 1`, updatedAt: p.now },
    } as never)
    .where(
      and(
        eq(payments.orderId, p.orderId),
        sql`(${payments.state} in ('PROCESSING', 'AUTHORIZED', 'CAPTURED') or ${payments.closesOrder})`,
      ),
    )
    .returning(),
);

/** Makes the live payment of an order the one that closes it and is undone; undefined when there is none. */
export const closeByPayment = async (
  session: Session,
  orderId: Id<"ord">,
  dueAt: Date,
  now: Date,
): Promise<Payment | undefined> => found(await close(session, { orderId, dueAt, now }));

const lease = statement("lease_payments", (p: Params<{ provider: string; now: Date; until: Date }>) =>
  orm
    .update(payments)
    .set({ dueAt: p.until, attempts: sql`${payments.attempts} + 1` } as never)
    .where(
      inArray(
        payments.id,
        sql`(select id from payment.payments where due_at <= ${p.now} and provider = ${p.provider}
          order by due_at limit 20 for update skip locked)`,
      ),
    )
    .returning(),
);

/** Takes up to 20 payments of a provider that are due; several sweepers at once never take the same one. */
export const leaseDue = async (
  session: Session,
  provider: string,
  now: Date,
  until: Date,
): Promise<Payment[]> => (await lease(session, { provider, now, until })).map(rowToPayment);

const delay = sqlStatement<{ id: string; version: number; dueAt: Date | null }, object>(
  (p) => sql`update payment.payments set due_at = ${p.dueAt}, attempts = greatest(attempts, 1)
    where id = ${p.id} and version = ${p.version}`,
);

/** Says when the sweeper looks at a payment again, unless somebody changed it meanwhile. */
export async function postpone(session: Session, payment: Payment, dueAt: Date | undefined): Promise<void> {
  await delay(session, { id: uuidOf(payment.id), version: payment.version, dueAt: dueAt ?? null });
}

const hint = sqlStatement<{ id: string; now: Date }, object>(
  (p) => sql`update payment.payments set due_at = ${p.now} where id = ${p.id} and state <> 'PROCESSING'`,
);

/** Makes the sweeper look at a payment now. One that is PROCESSING is looked at anyway, at its time. */
export async function makeDue(tx: Tx, id: Id<"pay">, now: Date): Promise<void> {
  await hint(tx, { id: uuidOf(id), now });
}

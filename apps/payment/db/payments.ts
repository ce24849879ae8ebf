import { payments } from "@mall/db/payment";
import type { Session, Tx } from "@mall/kernel/db/client";
import { orm, type Params, sqlStatement, statement } from "@mall/kernel/db/statement";
import { type Id, uuidOf } from "@mall/kernel/id";
import { asc, eq, sql } from "drizzle-orm";
import type { Payment, PaymentState } from "../domain/payment";

function rowToPayment({ amount, currency, ...row }: typeof payments.$inferSelect): Payment {
  return {
    ...row,
    userId: row.userId ?? undefined,
    state: row.state as PaymentState,
    amount: { currency, minor: amount },
  };
}

const selectPayment = statement("find_payment", (p: Params<{ id: string }>) =>
  orm.select().from(payments).where(eq(payments.id, p.id)),
);

export async function findPayment(session: Session, id: Id<"pay">): Promise<Payment | undefined> {
  const [row] = await selectPayment(session, { id });
  return row && rowToPayment(row);
}

const selectByOrder = statement("list_payments", (p: Params<{ orderId: string }>) =>
  orm.select().from(payments).where(eq(payments.orderId, p.orderId)).orderBy(asc(payments.id)).limit(100),
);

/** The payments of an order, oldest first. */
export const listByOrder = async (session: Session, orderId: Id<"ord">): Promise<Payment[]> =>
  (await selectByOrder(session, { orderId })).map(rowToPayment);

interface InsertParams {
  id: string;
  orderId: string;
  userId: string | null;
  state: string;
  provider: string;
  amount: string;
  currency: string;
  capture: boolean;
  now: Date;
}

const insert = sqlStatement<InsertParams, { id: string }>(
  (p) => sql`insert into payment.payments
    (id, order_id, user_id, state, provider, amount, currency, capture, created_at, updated_at)
    values (${p.id}, ${p.orderId}, ${p.userId}, ${p.state}, ${p.provider}, ${p.amount}::text::bigint, ${p.currency},
      ${p.capture}, ${p.now}::timestamptz, ${p.now}::timestamptz)
    on conflict do nothing returning id`,
);

/** Stores a new payment; false when its id exists or its order has a live payment. */
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
    now: payment.createdAt,
  });
  return rows.length === 1;
}

const move = sqlStatement<
  { id: string; from: string; to: string; declineCode: string; now: Date },
  { version: number }
>(
  (
    p,
  ) => sql`update payment.payments set state = ${p.to}, decline_code = ${p.declineCode}, version = version + 1,
    updated_at = ${p.now} where id = ${p.id} and state = ${p.from} returning version`,
);

/** Moves a payment from the state it was decided on; undefined when it has left that state meanwhile. */
export async function movePayment(
  tx: Tx,
  payment: Payment,
  to: { state: PaymentState; declineCode?: string },
  now: Date,
): Promise<Payment | undefined> {
  const declineCode = to.declineCode ?? payment.declineCode;
  const [row] = await move(tx, {
    id: uuidOf(payment.id),
    from: payment.state,
    to: to.state,
    declineCode,
    now,
  });
  return row && { ...payment, state: to.state, declineCode, version: row.version, updatedAt: now };
}

import { payments, refunds } from "@mall/db/payment";
import type { Session, Tx } from "@mall/kernel/db/client";
import { orm, type Params, sqlStatement, statement } from "@mall/kernel/db/statement";
import { type Id, idOf, uuidOf } from "@mall/kernel/id";
import { nothing, type PersonalRows } from "@mall/kernel/personal/personal";
import { and, asc, eq, getTableColumns, inArray, sql } from "drizzle-orm";
import type { Payment } from "../domain/payment";
import type { Refund, RefundNote, RefundState } from "../domain/refund";

type Notes = PersonalRows<RefundNote>;

/** SQL of whose key a refund is sealed with: the user, or the order of a guest. */
export const payerOf =
  "(select coalesce(p.user_id, p.order_id) from payment.payments p where p.id = payment_id)";

/** A refund with the key that opens it. */
const withKey = {
  ...getTableColumns(refunds),
  payer: sql<string>`${sql.raw(payerOf)}`.as("payer"),
  wrapped: sql<Uint8Array | null>`(select k.wrapped from payment.data_keys k
    where k.subject = ${sql.raw(payerOf)})`.as("wrapped"),
};
type Row = typeof refunds.$inferSelect & { payer: string; wrapped: Uint8Array | null };

/** What staff said; of a row that was not sealed yet from its clear column. */
function noteOf(notes: Notes, { id, personal, reason, payer, wrapped }: Row): RefundNote {
  if (!personal) return { reason };
  // keys are found by the UUID; whether it is a user's or an order's makes no difference
  return notes.open({ subject: idOf("usr", payer), wrapped }, id, personal) ?? { reason: "" };
}

function rowToRefund(notes: Notes, row: Row): Refund {
  const { id, paymentId, amount, currency, attempts, createdAt, updatedAt } = row;
  return {
    ...{ id, paymentId, attempts, createdAt, updatedAt },
    ...noteOf(notes, row),
    state: row.state as RefundState,
    amount: { currency, minor: amount },
    owes: row.owes ?? undefined,
  };
}

const reserve = sqlStatement<{ id: string; minor: string; now: Date }, { version: number }>(
  (p) => sql`update payment.payments
    set refunded = refunded + ${p.minor}::text::bigint, version = version + 1, updated_at = ${p.now}
    where id = ${p.id} and refunded + ${p.minor}::text::bigint <= captured returning version`,
);

interface InsertParams {
  id: string;
  paymentId: string;
  amount: string;
  currency: string;
  personal: Uint8Array;
  owes: string | null;
  dueAt: Date;
  now: Date;
}

const insert = sqlStatement<InsertParams, object>(
  (p) => sql`insert into payment.refunds
    (id, payment_id, state, amount, currency, personal, owes, due_at, created_at, updated_at)
    values (${p.id}, ${p.paymentId}, 'PENDING', ${p.amount}::text::bigint, ${p.currency}, ${p.personal}::bytea,
      ${p.owes}::text::jsonb, ${p.dueAt}, ${p.now}::timestamptz, ${p.now}::timestamptz)`,
);

/**
 * Sets the money of a new refund aside and stores the refund. From here on it is sent back until the provider says
 * that it did or refused. Throws when less than that is left, which a locked payment told before.
 */
export async function reserveRefund(
  tx: Tx,
  notes: Notes,
  payment: Payment,
  refund: Refund,
  dueAt: Date,
): Promise<void> {
  const { amount, createdAt: now, owes, reason } = refund;
  const payer = payment.userId ?? payment.orderId;
  const personal = reason === "" ? nothing : await notes.seal(tx, payer, refund.id, { reason });
  const paymentId = uuidOf(refund.paymentId);
  const reserved = await reserve(tx, { id: paymentId, minor: String(amount.minor), now });
  if (reserved.length === 0) throw new Error(`refund ${refund.id} exceeds its payment`);
  await insert(tx, {
    ...{ id: uuidOf(refund.id), paymentId, currency: amount.currency, dueAt, now },
    personal: personal ?? nothing,
    amount: String(amount.minor),
    owes: owes ? JSON.stringify(owes) : null,
  });
}

const lock = statement("lock_refund", (p: Params<{ id: string }>) =>
  orm.select(withKey).from(refunds).where(eq(refunds.id, p.id)).for("update"),
);

/** Reads a refund that nobody else changes until the transaction ends. */
export async function lockRefund(tx: Tx, notes: Notes, id: Id<"ref">): Promise<Refund | undefined> {
  const [row] = await lock(tx, { id });
  return row && rowToRefund(notes, row);
}

const end = statement("end_refund", (p: Params<{ id: string; state: string; now: Date }>) =>
  orm
    .update(refunds)
    .set({ state: p.state, dueAt: null, owes: null, updatedAt: p.now } as never)
    .where(and(eq(refunds.id, p.id), eq(refunds.state, "PENDING")))
    .returning(withKey),
);

/** Writes the outcome of a refund down; undefined when it is known already. */
export async function endRefund(
  tx: Tx,
  notes: Notes,
  refund: Refund,
  state: "SUCCEEDED" | "FAILED",
  now: Date,
): Promise<Refund | undefined> {
  const [row] = await end(tx, { id: refund.id, state, now });
  return row && rowToRefund(notes, row);
}

interface PaymentAfter {
  state: Payment["state"];
  version: number;
  returned: string;
}

const back = sqlStatement<{ id: string; minor: string; now: Date }, PaymentAfter>(
  (p) => sql`update payment.payments
    set returned = returned + ${p.minor}::text::bigint, version = version + 1, updated_at = ${p.now},
        state = case when state = 'CAPTURED' and returned + ${p.minor}::text::bigint = captured
          then 'REFUNDED' else state end
    where id = ${p.id} returning state, version, returned::text as returned`,
);

/** Counts money that went back; once all of it did, the payment is REFUNDED. */
export async function returnMoney(
  tx: Tx,
  refund: Refund,
  now: Date,
): Promise<{ state: Payment["state"]; version: number; returned: bigint }> {
  const [row] = await back(tx, { id: uuidOf(refund.paymentId), minor: String(refund.amount.minor), now });
  return { ...row!, returned: BigInt(row!.returned) };
}

const giveBack = sqlStatement<{ id: string; minor: string; now: Date }, object>(
  (p) => sql`update payment.payments
    set refunded = refunded - ${p.minor}::text::bigint, version = version + 1, updated_at = ${p.now},
        attempts = attempts + 1,
        due_at = case when undo then ${p.now}::timestamptz + least(power(2, attempts), 3600) * interval '1 second'
          else due_at end
    where id = ${p.id}`,
);

/**
 * Gives the money of a refund that the provider refused back to the payment. One that is to be undone is tried again
 * with a new refund, after 1, 2, 4 … 3600 seconds.
 */
export async function unreserve(tx: Tx, refund: Refund, now: Date): Promise<void> {
  await giveBack(tx, { id: uuidOf(refund.paymentId), minor: String(refund.amount.minor), now });
}

const lease = statement("lease_refunds", (p: Params<{ provider: string; now: Date; until: Date }>) =>
  orm
    .update(refunds)
    .set({ dueAt: p.until, attempts: sql`${refunds.attempts} + 1` } as never)
    .where(
      inArray(
        refunds.id,
        sql`(select r.id from payment.refunds r join payment.payments p on p.id = r.payment_id
          where r.due_at <= ${p.now} and p.provider = ${p.provider}
          order by r.due_at limit 20 for update of r skip locked)`,
      ),
    )
    .returning(withKey),
);

/** Takes up to 20 refunds at a provider whose outcome is to be asked for; no two sweepers take the same one. */
export const leaseDueRefunds = async (
  session: Session,
  notes: Notes,
  provider: string,
  now: Date,
  until: Date,
): Promise<Refund[]> =>
  (await lease(session, { provider, now, until })).map((row) => rowToRefund(notes, row));

const delay = sqlStatement<{ id: string; dueAt: Date }, object>(
  (p) => sql`update payment.refunds set due_at = ${p.dueAt}, attempts = greatest(attempts, 1)
    where id = ${p.id} and state = 'PENDING'`,
);

/** Says when the provider is asked about a refund again. */
export async function postponeRefund(session: Session, refund: Refund, dueAt: Date): Promise<void> {
  await delay(session, { id: uuidOf(refund.id), dueAt });
}

const refundsMax = 1000;

const selectByPayment = statement("refunds_of_payment", (p: Params<{ paymentId: string }>) =>
  orm
    .select(withKey)
    .from(refunds)
    .where(eq(refunds.paymentId, p.paymentId))
    .orderBy(asc(refunds.id))
    .limit(refundsMax),
);

/** The refunds of a payment, oldest first, 1,000 at most. */
export const refundsOfPayment = async (
  session: Session,
  notes: Notes,
  paymentId: Id<"pay">,
): Promise<Refund[]> => (await selectByPayment(session, { paymentId })).map((row) => rowToRefund(notes, row));

const selectByOrder = statement("refunds_of_order", (p: Params<{ orderId: string }>) =>
  orm
    .select(withKey)
    .from(refunds)
    .innerJoin(payments, eq(payments.id, refunds.paymentId))
    .where(eq(payments.orderId, p.orderId))
    .orderBy(asc(refunds.id))
    .limit(refundsMax),
);

/** The refunds of all payments of an order, oldest first, 1,000 at most. */
export const refundsOfOrder = async (session: Session, notes: Notes, orderId: Id<"ord">): Promise<Refund[]> =>
  (await selectByOrder(session, { orderId })).map((row) => rowToRefund(notes, row));

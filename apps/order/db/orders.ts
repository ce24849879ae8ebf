import { dataKeys, type EarlyRefundsRow, orderLines, orders } from "@mall/db/order";
import type { Session, Tx } from "@mall/kernel/db/client";
import { orm, type Params, sqlStatement, statement } from "@mall/kernel/db/statement";
import { type Id, uuidOf, uuidv7 } from "@mall/kernel/id";
import { and, asc, desc, eq, inArray, lt, sql } from "drizzle-orm";
import type { Change } from "../domain/decide";
import type { Order, OrderDraft, Refunded } from "../domain/order";
import { grouped, keyOfOrder, orderWithLines, type People, subjectOf } from "./order-rows";

/** Null for none, which is nearly always. */
function earlyRefundsToRow(refunds: Order["earlyRefunds"]): string | null {
  const entries = Object.entries(refunds) as [string, Refunded][];
  if (entries.length === 0) return null;
  const row: EarlyRefundsRow = Object.fromEntries(
    entries.map(([paymentId, { total, inFull }]) => [paymentId, { minor: String(total.minor), inFull }]),
  );
  return JSON.stringify(row);
}

const selectOrder = statement("find_order", (p: Params<{ id: string }>) =>
  orm
    .select(orderWithLines)
    .from(orders)
    .innerJoin(orderLines, eq(orderLines.orderId, orders.id))
    .leftJoin(dataKeys, keyOfOrder)
    .where(eq(orders.id, p.id))
    .orderBy(asc(orderLines.position)),
);

/** An order with its lines. */
export const findOrder = async (
  session: Session,
  people: People,
  id: Id<"ord">,
): Promise<Order | undefined> => grouped(await selectOrder(session, { id }), people)[0];

const selectPage = statement("list_orders", (p: Params<{ userId: string; before: string; limit: number }>) =>
  orm
    .select(orderWithLines)
    .from(orders)
    .innerJoin(orderLines, eq(orderLines.orderId, orders.id))
    .leftJoin(dataKeys, keyOfOrder)
    .where(
      inArray(
        orders.id,
        orm
          .select({ id: orders.id })
          .from(orders)
          .where(and(eq(orders.userId, p.userId), lt(orders.id, p.before)))
          .orderBy(desc(orders.id))
          .limit(p.limit),
      ),
    )
    .orderBy(desc(orders.id), asc(orderLines.position)),
);

/** Up to `limit` orders of a user older than `before`, newest first. */
export const listOrders = async (
  session: Session,
  people: People,
  userId: Id<"usr">,
  before: Id<"ord">,
  limit: number,
): Promise<Order[]> => grouped(await selectPage(session, { userId, before, limit }), people);

interface InsertParams {
  id: string;
  checkoutId: string;
  userId: string | null;
  currency: string;
  subtotal: string;
  discountTotal: string;
  shippingTotal: string;
  taxTotal: string;
  total: string;
  personal: Uint8Array;
  shippingOption: string;
  expiresAt: Date | null;
  now: Date;
  lines: string;
  eventId: string;
}

const insert = sqlStatement<InsertParams, { number: string }>(
  (p) => sql`with used as (
      insert into "order".order_ids (id, abandoned) values (${p.id}, false) on conflict do nothing returning id
    ), placed as (
      insert into "order".orders (id, number, checkout_id, user_id, state, currency, subtotal, discount_total,
        shipping_total, tax_total, total, personal, shipping_option, expires_at, created_at)
      select id, nextval('"order".order_numbers')::text, ${p.checkoutId}::uuid, ${p.userId}::uuid, 'PENDING_PAYMENT',
        ${p.currency}, ${p.subtotal}::text::bigint, ${p.discountTotal}::text::bigint, ${p.shippingTotal}::text::bigint,
        ${p.taxTotal}::text::bigint, ${p.total}::text::bigint, ${p.personal}::bytea, ${p.shippingOption}, ${p.expiresAt}::timestamptz, ${p.now}::timestamptz from used
      on conflict do nothing returning id, number, created_at
    ), lines as (
      insert into "order".order_lines (order_id, position, variant_id, product_id, sku, title, quantity, unit_price, total)
      select placed.id, l.* from placed, jsonb_to_recordset(${p.lines}::text::jsonb) as l(position int, variant uuid,
        product uuid, sku text, title text, quantity int, unit_price bigint, total bigint)
    ), timeline as (
      insert into "order".order_events (id, order_id, sequence, kind, at)
      select ${p.eventId}, id, 1, 'placed', created_at from placed
    )
    select number from placed`,
);

/**
 * Stores a new unpaid order with lines and timeline in one statement, its person sealed; undefined when its id or
 * checkout has one, or its checkout was undone first.
 */
export async function insertOrder(
  tx: Tx,
  draft: OrderDraft,
  personal: Uint8Array,
  now: Date,
): Promise<Order | undefined> {
  const { totals } = draft;
  const lines = draft.items.map((line, position) => ({
    position,
    variant: uuidOf(line.variantId),
    product: uuidOf(line.productId),
    sku: line.sku,
    title: line.title,
    quantity: line.quantity,
    unit_price: String(line.unitPrice.minor),
    total: String(line.total.minor),
  }));
  const [row] = await insert(tx, {
    id: uuidOf(draft.id),
    checkoutId: uuidOf(draft.checkoutId),
    userId: draft.userId ? uuidOf(draft.userId) : null,
    currency: totals.total.currency,
    subtotal: String(totals.subtotal.minor),
    discountTotal: String(totals.discountTotal.minor),
    shippingTotal: String(totals.shippingTotal.minor),
    taxTotal: String(totals.taxTotal.minor),
    total: String(totals.total.minor),
    personal,
    shippingOption: draft.shippingOption,
    expiresAt: draft.expiresAt ?? null,
    now,
    lines: JSON.stringify(lines),
    eventId: uuidv7(now.getTime()),
  });
  return (
    row && {
      ...draft,
      number: row.number,
      state: "PENDING_PAYMENT",
      cancelReason: "",
      version: 1,
      createdAt: now,
      paymentSequence: 0,
      refundedTotal: { currency: totals.total.currency, minor: 0n },
      earlyRefunds: {},
    }
  );
}

const abandon = sqlStatement<{ id: string }, { id: string }>(
  (p) =>
    sql`insert into "order".order_ids (id, abandoned) values (${p.id}, true) on conflict do nothing returning id`,
);

/** Uses the id of an order that does not exist up, so that it never will; false when it does exist or is used up. */
export const abandonId = async (tx: Tx, id: Id<"ord">): Promise<boolean> =>
  (await abandon(tx, { id: uuidOf(id) })).length === 1;

const findAbandoned = sqlStatement<{ id: string }, { abandoned: boolean }>(
  (p) => sql`select abandoned from "order".order_ids where id = ${p.id}`,
);

/** Whether the checkout of an order was undone before it came. */
export const isAbandoned = async (session: Session, id: Id<"ord">): Promise<boolean> =>
  (await findAbandoned(session, { id: uuidOf(id) }))[0]?.abandoned === true;

interface SaveParams {
  id: string;
  version: number;
  state: string;
  paymentId: string | null;
  paidAt: Date | null;
  expiresAt: Date | null;
  cancelledAt: Date | null;
  cancelReason: string;
  refundedTotal: string;
  earlyRefunds: string | null;
  paymentSequence: number;
  undoDueAt: Date | null;
  personal: Uint8Array | null;
  kind: string | null;
  detail: string;
  at: Date | null;
  eventId: string;
}

const save = sqlStatement<SaveParams, { version: number }>(
  (p) => sql`with saved as (
      update "order".orders set version = version + 1, state = ${p.state}, payment_id = ${p.paymentId},
        paid_at = ${p.paidAt}, expires_at = ${p.expiresAt}, cancelled_at = ${p.cancelledAt},
        cancel_reason = ${p.cancelReason}, refunded_total = ${p.refundedTotal}::text::bigint,
        early_refunds = ${p.earlyRefunds}::text::jsonb, payment_sequence = ${p.paymentSequence},
        undo_due_at = coalesce(${p.undoDueAt}::timestamptz, undo_due_at),
        personal = coalesce(${p.personal}::bytea, personal),
        email = case when ${p.personal}::bytea is null then email else '' end,
        shipping_address = case when ${p.personal}::bytea is null then shipping_address else '{}' end
      where id = ${p.id} and version = ${p.version}
      returning id, version
    ), timeline as (
      insert into "order".order_events (id, order_id, sequence, kind, detail, at)
      select ${p.eventId}, id, version, ${p.kind}::text, ${p.detail}, ${p.at}::timestamptz from saved
      where ${p.kind}::text is not null
    )
    select version from saved`,
);

/**
 * Stores a change of an order with its entry in the timeline; false when the order is no longer what the change was
 * decided on. `undoDueAt` is when somebody else sends units and money back, if whoever decided this does not.
 */
export async function saveChange(
  tx: Tx,
  people: People,
  decidedOn: Order,
  { order, event }: Change,
  undoDueAt: Date | undefined,
  now: Date,
): Promise<boolean> {
  const isToldMore = order.person !== undefined && order.person !== decidedOn.person;
  const personal = isToldMore && (await people.seal(tx, subjectOf(order), order.id, order.person!));
  const saved = await save(tx, {
    id: uuidOf(order.id),
    version: decidedOn.version,
    state: order.state,
    paymentId: order.paymentId ? uuidOf(order.paymentId) : null,
    paidAt: order.paidAt ?? null,
    expiresAt: order.expiresAt ?? null,
    cancelledAt: order.cancelledAt ?? null,
    cancelReason: order.cancelReason,
    refundedTotal: String(order.refundedTotal.minor),
    earlyRefunds: earlyRefundsToRow(order.earlyRefunds),
    paymentSequence: order.paymentSequence,
    undoDueAt: undoDueAt ?? null,
    personal: personal || null,
    kind: event?.kind ?? null,
    detail: event?.detail ?? "",
    at: event?.at ?? null,
    eventId: uuidv7(now.getTime()),
  });
  return saved.length === 1;
}

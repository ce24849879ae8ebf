import { orderLines, orders } from "@mall/db/order";
import type { Session, Tx } from "@mall/kernel/db/client";
import { orm, type Params, sqlStatement, statement } from "@mall/kernel/db/statement";
import { type Id, idOf, uuidOf, uuidv7 } from "@mall/kernel/id";
import type { Money } from "@mall/kernel/money";
import { and, asc, desc, eq, inArray, lt, sql } from "drizzle-orm";
import type { Order, OrderDraft, OrderEvent, OrderState } from "../domain/order";

type OrderRow = typeof orders.$inferSelect;
type LineRow = typeof orderLines.$inferSelect;

function rowToOrder(row: OrderRow, lines: readonly LineRow[]): Order {
  const money = (minor: bigint): Money => ({ currency: row.currency, minor });
  return {
    ...row,
    userId: row.userId ?? undefined,
    paymentId: row.paymentId ?? undefined,
    state: row.state as OrderState,
    items: lines.map((line) => ({ ...line, unitPrice: money(line.unitPrice), total: money(line.total) })),
    totals: {
      subtotal: money(row.subtotal),
      discountTotal: money(row.discountTotal),
      shippingTotal: money(row.shippingTotal),
      taxTotal: money(row.taxTotal),
      total: money(row.total),
    },
    paidAt: row.paidAt ?? undefined,
    cancelledAt: row.cancelledAt ?? undefined,
    expiresAt: row.expiresAt ?? undefined,
    refundedTotal: money(row.refundedTotal),
  };
}

function grouped(rows: { order: OrderRow; line: LineRow }[]): Order[] {
  const byId = new Map<string, { row: OrderRow; lines: LineRow[] }>();
  for (const { order, line } of rows) {
    const known = byId.get(order.id);
    if (known) known.lines.push(line);
    else byId.set(order.id, { row: order, lines: [line] });
  }
  return [...byId.values()].map(({ row, lines }) => rowToOrder(row, lines));
}

const selectOrder = statement("find_order", (p: Params<{ id: string }>) =>
  orm
    .select({ order: orders, line: orderLines })
    .from(orders)
    .innerJoin(orderLines, eq(orderLines.orderId, orders.id))
    .where(eq(orders.id, p.id))
    .orderBy(asc(orderLines.position)),
);

/** An order with its lines. */
export const findOrder = async (session: Session, id: Id<"ord">): Promise<Order | undefined> =>
  grouped(await selectOrder(session, { id }))[0];

const selectPage = statement("list_orders", (p: Params<{ userId: string; before: string; limit: number }>) =>
  orm
    .select({ order: orders, line: orderLines })
    .from(orders)
    .innerJoin(orderLines, eq(orderLines.orderId, orders.id))
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
  userId: Id<"usr">,
  before: Id<"ord">,
  limit: number,
): Promise<Order[]> => grouped(await selectPage(session, { userId, before, limit }));

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
  email: string;
  shippingAddress: string;
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
        shipping_total, tax_total, total, email, shipping_address, shipping_option, expires_at, created_at)
      select id, nextval('"order".order_numbers')::text, ${p.checkoutId}::uuid, ${p.userId}::uuid, 'PENDING_PAYMENT',
        ${p.currency}, ${p.subtotal}::text::bigint, ${p.discountTotal}::text::bigint, ${p.shippingTotal}::text::bigint,
        ${p.taxTotal}::text::bigint, ${p.total}::text::bigint, ${p.email}, ${p.shippingAddress}::text::jsonb,
        ${p.shippingOption}, ${p.expiresAt}::timestamptz, ${p.now}::timestamptz from used
      on conflict do nothing returning id, number, created_at
    ), lines as (
      insert into "order".order_lines (order_id, position, variant_id, product_id, sku, title, quantity, unit_price, total)
      select placed.id, l.* from placed, jsonb_to_recordset(${p.lines}::text::jsonb) as l(position int, variant uuid,
        product uuid, sku text, title text, quantity int, unit_price bigint, total bigint)
    ), timeline as (
      insert into "order".order_events (id, order_id, kind, at) select ${p.eventId}, id, 'placed', created_at from placed
    )
    select number from placed`,
);

/**
 * Stores a new unpaid order with lines and timeline in one statement; undefined when its id or checkout has one, or its
 * checkout was undone first.
 */
export async function insertOrder(tx: Tx, draft: OrderDraft, now: Date): Promise<Order | undefined> {
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
    email: draft.email,
    shippingAddress: JSON.stringify(draft.shippingAddress),
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
export const isAbandoned = async (tx: Tx, id: Id<"ord">): Promise<boolean> =>
  (await findAbandoned(tx, { id: uuidOf(id) }))[0]?.abandoned === true;

interface ExpiryParams {
  id: string;
  version: number;
  expiresAt: Date | null;
  sequence: number;
}

const touch = sqlStatement<ExpiryParams, { version: number }>(
  (
    p,
  ) => sql`update "order".orders set expires_at = ${p.expiresAt}::timestamptz, payment_sequence = ${p.sequence},
      version = version + 1
    where id = ${p.id} and state = 'PENDING_PAYMENT' and version = ${p.version} returning version`,
);

/** Sets when an unpaid order is cancelled by itself; false when it was changed meanwhile. */
export async function setExpiry(
  tx: Tx,
  { id, version }: Order,
  expiresAt: Date | undefined,
  sequence: number,
): Promise<boolean> {
  const params = { id: uuidOf(id), version, expiresAt: expiresAt ?? null, sequence };
  return (await touch(tx, params)).length === 1;
}

const due = sqlStatement<{ now: Date }, { id: string }>(
  (p) => sql`select id from "order".orders where expires_at <= ${p.now}
    order by expires_at limit 50 for update skip locked`,
);

/** Locks up to 50 unpaid orders whose time is over. */
export const dueOrders = async (tx: Tx, now: Date): Promise<Id<"ord">[]> =>
  (await due(tx, { now })).map((row) => idOf("ord", row.id));

const leaseUndo = sqlStatement<{ now: Date; leaseUntil: Date }, { id: string; checkout_id: string }>(
  (p) => sql`update "order".orders set undo_due_at = ${p.leaseUntil} where id in (
      select id from "order".orders where undo_due_at <= ${p.now} order by undo_due_at limit 20 for update skip locked)
    returning id, checkout_id`,
);

/** A cancelled order whose units and money have to go back. */
export interface Undo {
  orderId: Id<"ord">;
  checkoutId: Id<"chk">;
}

/** Takes up to 20 cancelled orders whose units and money have to go back, until `leaseUntil`. */
export const leaseUndos = async (session: Session, now: Date, leaseUntil: Date): Promise<Undo[]> =>
  (await leaseUndo(session, { now, leaseUntil })).map((row) => ({
    orderId: idOf("ord", row.id),
    checkoutId: idOf("chk", row.checkout_id),
  }));

const endUndo = sqlStatement<{ id: string; dueAt: Date | null }, object>(
  (p) => sql`update "order".orders set undo_due_at = ${p.dueAt}::timestamptz
    where id = ${p.id} and undo_due_at is not null`,
);

/** Writes down that everything went back, or when it is tried again. */
export async function settleUndo(session: Session, id: Id<"ord">, dueAt: Date | undefined): Promise<void> {
  await endUndo(session, { id: uuidOf(id), dueAt: dueAt ?? null });
}

const refund = sqlStatement<
  { id: string; refunded: string; inFull: boolean; detail: string; eventId: string; now: Date },
  { version: number; was: string; state: string }
>(
  (p) => sql`with known as (
      select id, state from "order".orders where id = ${p.id} for update
    ), changed as (
      update "order".orders o set version = version + 1,
        refunded_total = greatest(refunded_total, ${p.refunded}::text::bigint),
        state = case when ${p.inFull}::boolean and o.state in ('PAID', 'SHIPPED', 'DELIVERED', 'COMPLETED')
          then 'REFUNDED' else o.state end
      from known where o.id = known.id returning o.id, version, known.state as was, o.state
    ), timeline as (
      insert into "order".order_events (id, order_id, kind, detail, at)
      select ${p.eventId}, id, 'refunded', ${p.detail}, ${p.now}::timestamptz from changed
    )
    select version, was, state from changed`,
);

/** Notes money that went back; undefined for an order that does not exist. `wasLast` tells that it is REFUNDED now. */
export async function noteRefund(
  tx: Tx,
  id: Id<"ord">,
  { refundedMinor, inFull, detail }: { refundedMinor: bigint; inFull: boolean; detail: string },
  now: Date,
): Promise<{ version: number; wasLast: boolean } | undefined> {
  const eventId = uuidv7(now.getTime());
  const params = { id: uuidOf(id), refunded: String(refundedMinor), inFull, detail, eventId, now };
  const [row] = await refund(tx, params);
  return row && { version: row.version, wasLast: row.was !== row.state };
}

const selectEvents = sqlStatement<
  { id: string; after: string; limit: number },
  { id: string; kind: string; detail: string; at: string }
>(
  (p) => sql`select id, kind, detail, at from "order".order_events
    where order_id = ${p.id} and id > ${p.after} order by id limit ${p.limit}`,
);

/** Up to `limit` events of an order after the event `after`, oldest first. */
export async function listEvents(
  session: Session,
  id: Id<"ord">,
  after: string,
  limit: number,
): Promise<OrderEvent[]> {
  const rows = await selectEvents(session, { id: uuidOf(id), after, limit });
  return rows.map((row) => ({ ...row, at: new Date(row.at) }));
}

interface MoveParams {
  id: string;
  from: string;
  to: string;
  paymentId: string | null;
  reason: string;
  kind: string;
  at: Date;
  undoDueAt: Date | null;
  expiresAt: Date | null;
  now: Date;
  eventId: string;
}

const move = sqlStatement<MoveParams, { version: number }>(
  (p) => sql`with moved as (
      update "order".orders set state = ${p.to}, version = version + 1,
        payment_id = coalesce(${p.paymentId}::uuid, payment_id),
        paid_at = case when ${p.to} = 'PAID' then ${p.at}::timestamptz else paid_at end,
        cancelled_at = case when ${p.to} = 'CANCELLED' then ${p.at}::timestamptz else cancelled_at end,
        cancel_reason = case when ${p.to} = 'CANCELLED' then ${p.reason} else cancel_reason end,
        expires_at = null, undo_due_at = ${p.undoDueAt}::timestamptz
      where id = ${p.id} and state = ${p.from} and expires_at is not distinct from ${p.expiresAt}::timestamptz
      returning id, version
    ), timeline as (
      insert into "order".order_events (id, order_id, kind, detail, at)
      select ${p.eventId}, id, ${p.kind}, ${p.reason}, ${p.at}::timestamptz from moved
    )
    select version from moved`,
);

/** What a move writes down. */
export interface OrderChange {
  state: OrderState;
  /** Of the timeline. */
  kind: string;
  paymentId?: Id<"pay">;
  reason?: string;
  /** When it happened, if not now. */
  at?: Date;
  /** Until when whoever moves it takes care of what has to go back. */
  undoDueAt?: Date;
}

/** Moves an order from the state it was decided on; undefined when it has left that state meanwhile. */
export async function moveOrder(
  tx: Tx,
  order: Order,
  to: OrderChange,
  now: Date,
): Promise<Order | undefined> {
  const at = to.at ?? now;
  const [row] = await move(tx, {
    id: uuidOf(order.id),
    from: order.state,
    to: to.state,
    paymentId: to.paymentId ? uuidOf(to.paymentId) : null,
    reason: to.reason ?? "",
    kind: to.kind,
    at,
    undoDueAt: to.undoDueAt ?? null,
    expiresAt: order.expiresAt ?? null,
    now,
    eventId: uuidv7(now.getTime()),
  });
  return (
    row && {
      ...order,
      state: to.state,
      version: row.version,
      paymentId: to.paymentId ?? order.paymentId,
      expiresAt: undefined,
      ...(to.state === "PAID" ? { paidAt: at } : {}),
      ...(to.state === "CANCELLED" ? { cancelledAt: at, cancelReason: to.reason ?? "" } : {}),
    }
  );
}

import { orderLines, orders } from "@mall/db/order";
import type { Session, Tx } from "@mall/kernel/db/client";
import { orm, type Params, sqlStatement, statement } from "@mall/kernel/db/statement";
import { type Id, uuidOf, uuidv7 } from "@mall/kernel/id";
import type { Money } from "@mall/kernel/money";
import { and, asc, desc, eq, inArray, lt, sql } from "drizzle-orm";
import type { Order, OrderDraft, OrderState } from "../domain/order";

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
  now: Date;
  lines: string;
  eventId: string;
}

const insert = sqlStatement<InsertParams, { number: string }>(
  (p) => sql`with placed as (
      insert into "order".orders (id, number, checkout_id, user_id, state, currency, subtotal, discount_total,
        shipping_total, tax_total, total, email, shipping_address, shipping_option, created_at)
      values (${p.id}, nextval('"order".order_numbers')::text, ${p.checkoutId}, ${p.userId}, 'PENDING_PAYMENT',
        ${p.currency}, ${p.subtotal}::text::bigint, ${p.discountTotal}::text::bigint, ${p.shippingTotal}::text::bigint,
        ${p.taxTotal}::text::bigint, ${p.total}::text::bigint, ${p.email}, ${p.shippingAddress}::text::jsonb,
        ${p.shippingOption}, ${p.now})
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

/** Stores a new unpaid order with lines and timeline in one statement; undefined when its id or checkout has one. */
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
    }
  );
}

interface MoveParams {
  id: string;
  from: string;
  to: string;
  paymentId: string | null;
  reason: string;
  kind: string;
  now: Date;
  eventId: string;
}

const move = sqlStatement<MoveParams, { version: number }>(
  (p) => sql`with moved as (
      update "order".orders set state = ${p.to}, version = version + 1,
        payment_id = coalesce(${p.paymentId}::uuid, payment_id),
        paid_at = case when ${p.to} = 'PAID' then ${p.now}::timestamptz else paid_at end,
        cancelled_at = case when ${p.to} = 'CANCELLED' then ${p.now}::timestamptz else cancelled_at end,
        cancel_reason = case when ${p.to} = 'CANCELLED' then ${p.reason} else cancel_reason end
      where id = ${p.id} and state = ${p.from}
      returning id, version
    ), timeline as (
      insert into "order".order_events (id, order_id, kind, detail, at)
      select ${p.eventId}, id, ${p.kind}, ${p.reason}, ${p.now}::timestamptz from moved
    )
    select version from moved`,
);

/** Moves an order from the state it was decided on; undefined when it has left that state meanwhile. */
export async function moveOrder(
  tx: Tx,
  order: Order,
  to: { state: OrderState; kind: string; paymentId?: Id<"pay">; reason?: string },
  now: Date,
): Promise<Order | undefined> {
  const [row] = await move(tx, {
    id: uuidOf(order.id),
    from: order.state,
    to: to.state,
    paymentId: to.paymentId ? uuidOf(to.paymentId) : null,
    reason: to.reason ?? "",
    kind: to.kind,
    now,
    eventId: uuidv7(now.getTime()),
  });
  return (
    row && {
      ...order,
      state: to.state,
      version: row.version,
      paymentId: to.paymentId ?? order.paymentId,
      ...(to.state === "PAID" ? { paidAt: now } : {}),
      ...(to.state === "CANCELLED" ? { cancelledAt: now, cancelReason: to.reason ?? "" } : {}),
    }
  );
}

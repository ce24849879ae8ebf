import { dataKeys, type EarlyRefundsRow, orderLines, orders } from "@mall/db/order";
import type { Id } from "@mall/kernel/id";
import type { Money } from "@mall/kernel/money";
import type { PersonalRows } from "@mall/kernel/personal/personal";
import { eq, sql } from "drizzle-orm";
import type { Order, Person, Refunded } from "../domain/order";
import type { OrderState } from "../domain/transitions";

type OrderRow = typeof orders.$inferSelect;
type LineRow = typeof orderLines.$inferSelect;
/** What orders say about their buyers. */
export type People = PersonalRows<Person>;

/** Whose key an order is sealed with. */
export const subjectOf = ({ userId, id }: { userId?: Id<"usr"> | null; id: Id<"ord"> }) => userId ?? id;

/** Joins the key of an order. */
export const keyOfOrder = eq(dataKeys.subject, sql`coalesce(${orders.userId}, ${orders.id})`);

/** What is selected for `grouped`. */
export const orderWithLines = { order: orders, line: orderLines, wrapped: dataKeys.wrapped };

interface Joined {
  order: OrderRow;
  line: LineRow;
  wrapped: Uint8Array | null;
}

const rowToEarlyRefunds = (row: EarlyRefundsRow | null, currency: string): Order["earlyRefunds"] =>
  Object.fromEntries(
    Object.entries(row ?? {}).map(([paymentId, { minor, inFull }]): [string, Refunded] => [
      paymentId,
      { total: { currency, minor: BigInt(minor) }, inFull },
    ]),
  );

/** The buyer, undefined once erased; of a row that was not sealed yet from its clear columns. */
function personOf(
  { personal, email, shippingAddress, ...row }: OrderRow,
  wrapped: Joined["wrapped"],
  people: People,
) {
  if (!personal) return { email, shippingAddress };
  return people.open({ subject: subjectOf(row), wrapped }, row.id, personal);
}

function joinedToOrder({ order: row, wrapped }: Joined, lines: readonly LineRow[], people: People): Order {
  const { personal, email, shippingAddress, ...plain } = row;
  const money = (minor: bigint): Money => ({ currency: row.currency, minor });
  return {
    ...plain,
    person: personOf(row, wrapped, people),
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
    earlyRefunds: rowToEarlyRefunds(row.earlyRefunds, row.currency),
  };
}

/** Orders of joined rows, in their order; `people` opens what is personal. */
export function grouped(rows: readonly Joined[], people: People): Order[] {
  const byId = new Map<string, { joined: Joined; lines: LineRow[] }>();
  for (const joined of rows) {
    const known = byId.get(joined.order.id);
    if (known) known.lines.push(joined.line);
    else byId.set(joined.order.id, { joined, lines: [joined.line] });
  }
  return [...byId.values()].map(({ joined, lines }) => joinedToOrder(joined, lines, people));
}

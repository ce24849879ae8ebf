import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  check,
  index,
  integer,
  jsonb,
  pgSchema,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import { idColumn } from "./id";
import { bytea, instant, kernelTables } from "./kernel";

export const order = pgSchema("order");

/** Numbers for people, in order of creation; gaps are possible. */
export const orderNumbers = order.sequence("order_numbers", { startWith: 1001 });

const amount = (name: string) => bigint(name, { mode: "bigint" }).notNull();

/** Snapshot of the address an order is shipped to, as rows have it that are not sealed yet. */
export interface AddressRow {
  name: string;
  line1: string;
  line2: string;
  city: string;
  region: string;
  postalCode: string;
  country: string;
}

/** What went back of payments that had not paid the order then, by payment id; minor units as text. */
export type EarlyRefundsRow = Record<string, { minor: string; inFull: boolean }>;

/** What was bought, at which price; amounts are minor units of `currency`. */
export const orders = order.table(
  "orders",
  {
    id: idColumn("ord")("id").primaryKey(),
    number: text("number").notNull().unique(),
    checkoutId: idColumn("chk")("checkout_id").notNull().unique(),
    /** The buyer; null for guests. */
    userId: idColumn("usr")("user_id"),
    state: text("state").notNull(),
    currency: text("currency").notNull(),
    subtotal: amount("subtotal"),
    discountTotal: amount("discount_total"),
    shippingTotal: amount("shipping_total"),
    taxTotal: amount("tax_total"),
    total: amount("total"),
    /** The buyer, sealed with the key of the user or else of the order; null in rows from before it was. */
    personal: bytea("personal"),
    /** In the clear until the row is sealed, then empty. */
    email: text("email").notNull().default(""),
    /** In the clear until the row is sealed, then empty. */
    shippingAddress: jsonb("shipping_address")
      .$type<AddressRow>()
      .notNull()
      .default({} as AddressRow),
    shippingOption: text("shipping_option").notNull(),
    paymentId: idColumn("pay")("payment_id"),
    /** A code; what the customer says is personal. */
    cancelReason: text("cancel_reason").notNull().default(""),
    /** When it is cancelled by itself; null while it is being paid and once it is not unpaid any more. */
    expiresAt: instant("expires_at"),
    /** Of the last call that began or ended a payment; earlier ones that arrive later are refused. */
    paymentSequence: integer("payment_sequence").notNull().default(0),
    /** What went back of the payment that paid it. */
    refundedTotal: amount("refunded_total").default(sql`0`),
    /** Null when there is none. */
    earlyRefunds: jsonb("early_refunds").$type<EarlyRefundsRow>(),
    /** When units and money of a cancelled order go back next; null when nothing has to. */
    undoDueAt: instant("undo_due_at"),
    /** Times the sweeper tried that. */
    undoAttempts: integer("undo_attempts").notNull().default(0),
    version: integer("version").notNull().default(1),
    createdAt: instant("created_at").notNull(),
    paidAt: instant("paid_at"),
    cancelledAt: instant("cancelled_at"),
  },
  (t) => [
    index("orders_clear").on(t.id).where(sql`${t.personal} is null`),
    index("orders_by_user").on(t.userId, t.id.desc()),
    index("orders_expiring").on(t.expiresAt).where(sql`${t.expiresAt} is not null`),
    index("orders_to_undo").on(t.undoDueAt).where(sql`${t.undoDueAt} is not null`),
    check(
      "orders_sealed",
      sql`${t.personal} is null or (${t.email} = '' and ${t.shippingAddress} = '{}' and ${t.cancelReason} ~ '^[A-Z_]*$')`,
    ),
    check("orders_expiry", sql`${t.expiresAt} is null or ${t.state} = 'PENDING_PAYMENT'`),
    check("orders_undo", sql`${t.undoDueAt} is null or ${t.state} = 'CANCELLED'`),
    check("orders_cancelled", sql`(${t.state} = 'CANCELLED') = (${t.cancelledAt} is not null)`),
    check(
      "orders_state_paid",
      sql`case ${t.state} when 'CANCELLED' then true when 'PENDING_PAYMENT' then ${t.paidAt} is null else ${t.paidAt} is not null end`,
    ),
    check("orders_refunded", sql`${t.refundedTotal} between 0 and ${t.total}`),
    check(
      "orders_total",
      sql`${t.total} = ${t.subtotal} - ${t.discountTotal} + ${t.shippingTotal} + ${t.taxTotal}`,
    ),
    check("orders_amounts", sql`${t.subtotal} >= 0 and ${t.total} >= 0`),
    check("orders_paid", sql`(${t.paymentId} is null) = (${t.paidAt} is null)`),
  ],
);

/** Lines of an order at the prices of the purchase. */
export const orderLines = order.table(
  "order_lines",
  {
    orderId: idColumn("ord")("order_id").notNull(),
    position: integer("position").notNull(),
    variantId: idColumn("var")("variant_id").notNull(),
    productId: idColumn("prod")("product_id").notNull(),
    sku: text("sku").notNull(),
    title: text("title").notNull(),
    quantity: integer("quantity").notNull(),
    unitPrice: amount("unit_price"),
    total: amount("total"),
  },
  (t) => [
    primaryKey({ columns: [t.orderId, t.position] }),
    check("order_lines_quantity", sql`${t.quantity} > 0 and ${t.total} = ${t.unitPrice} * ${t.quantity}`),
  ],
);

/** Each order id is used once: by its order, or by the undo of a checkout that came first. */
export const orderIds = order.table("order_ids", {
  id: idColumn("ord")("id").primaryKey(),
  abandoned: boolean("abandoned").notNull(),
});

/** Timeline of an order; append-only. A version of an order has at most one entry. */
export const orderEvents = order.table(
  "order_events",
  {
    id: uuid("id").primaryKey(),
    orderId: idColumn("ord")("order_id").notNull(),
    /** Version of the order after it. */
    sequence: integer("sequence").notNull(),
    kind: text("kind").notNull(),
    detail: text("detail").notNull().default(""),
    at: instant("at").notNull(),
  },
  (t) => [uniqueIndex("order_events_by_order").on(t.orderId, t.sequence)],
);

export const {
  dataKeys,
  outbox,
  inbox,
  deadLetters,
  idempotency,
  auditEvents,
  auditPending,
  auditSeals,
  auditHeads,
} = kernelTables(order);

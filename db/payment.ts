import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  check,
  index,
  integer,
  jsonb,
  pgSchema,
  text,
  uniqueIndex,
} from "drizzle-orm/pg-core";
import { idColumn } from "./id";
import { bytea, instant, kernelTables } from "./kernel";

export const payment = pgSchema("payment");

/** Attempts to pay orders; amounts are minor units of `currency`. */
export const payments = payment.table(
  "payments",
  {
    id: idColumn("pay")("id").primaryKey(),
    orderId: idColumn("ord")("order_id").notNull(),
    /** Who pays; null for guests. */
    userId: idColumn("usr")("user_id"),
    state: text("state").notNull(),
    provider: text("provider").notNull(),
    /** The provider's name of the attempt; empty until it is known. */
    providerRef: text("provider_ref").notNull().default(""),
    amount: bigint("amount", { mode: "bigint" }).notNull(),
    currency: text("currency").notNull(),
    /** What the provider took. */
    captured: bigint("captured", { mode: "bigint" }).notNull().default(sql`0`),
    /** What went back or is on its way back. */
    refunded: bigint("refunded", { mode: "bigint" }).notNull().default(sql`0`),
    /** What went back. */
    returned: bigint("returned", { mode: "bigint" }).notNull().default(sql`0`),
    /** Whether the money is to be taken once it is authorized. */
    capture: boolean("capture").notNull(),
    /** Whether the payment must end without money, whatever becomes of it. */
    undo: boolean("undo").notNull().default(false),
    /** Whether the order is closed: no payment of it may begin after this one. */
    closesOrder: boolean("closes_order").notNull().default(false),
    declineCode: text("decline_code").notNull().default(""),
    version: integer("version").notNull().default(1),
    /** When the sweeper looks at it; null when nothing is left to do. */
    dueAt: instant("due_at"),
    /** How often the sweeper looked since the last change; 0 while the first request works on it. */
    attempts: integer("attempts").notNull().default(0),
    createdAt: instant("created_at").notNull(),
    updatedAt: instant("updated_at").notNull(),
  },
  (t) => [
    index("payments_by_order").on(t.orderId, t.id),
    index("payments_due").on(t.dueAt).where(sql`${t.dueAt} is not null`),
    index("payments_by_ref").on(t.providerRef).where(sql`${t.providerRef} <> ''`),
    // an order has at most one payment that is or may become money, and none after it was closed
    uniqueIndex("payments_one_live")
      .on(t.orderId)
      .where(sql`${t.state} in ('PROCESSING', 'AUTHORIZED', 'CAPTURED') or ${t.closesOrder}`),
    check("payments_amount", sql`${t.amount} >= 0`),
    check(
      "payments_captured",
      sql`${t.captured} >= 0 and (${t.state} not in ('CAPTURED', 'REFUNDED') or ${t.captured} = ${t.amount})`,
    ),
    check("payments_refunded", sql`${t.refunded} between 0 and ${t.captured}`),
    check("payments_returned", sql`${t.returned} between 0 and ${t.refunded}`),
  ],
);

/** Money that goes back; amounts are minor units of the payment's currency. */
export const refunds = payment.table(
  "refunds",
  {
    id: idColumn("ref")("id").primaryKey(),
    paymentId: idColumn("pay")("payment_id")
      .notNull()
      .references(() => payments.id),
    /** PENDING, SUCCEEDED or FAILED. */
    state: text("state").notNull(),
    amount: bigint("amount", { mode: "bigint" }).notNull(),
    currency: text("currency").notNull(),
    /** What staff say about it, sealed with the key of the payer; null in rows from before it was. */
    personal: bytea("personal"),
    /** In the clear until the row is sealed, then empty. */
    reason: text("reason").notNull().default(""),
    /** Idempotency key whose answer is still to be written, of the request that asked for the refund. */
    owes: jsonb("owes").$type<{ scope: string; rpc: string; key: string; owner?: string }>(),
    /** When the sweeper asks the provider again; null once the outcome is known. */
    dueAt: instant("due_at"),
    attempts: integer("attempts").notNull().default(0),
    createdAt: instant("created_at").notNull(),
    updatedAt: instant("updated_at").notNull(),
  },
  (t) => [
    index("refunds_clear").on(t.id).where(sql`${t.personal} is null`),
    index("refunds_by_payment").on(t.paymentId, t.id),
    index("refunds_due").on(t.dueAt).where(sql`${t.dueAt} is not null`),
    check("refunds_sealed", sql`${t.personal} is null or ${t.reason} = ''`),
    check("refunds_amount", sql`${t.amount} > 0`),
  ],
);

/** The fake provider's own books: what it did under each idempotency key. The mall reads them through the provider only. */
export const fakeCharges = payment.table(
  "fake_charges",
  {
    key: text("key").primaryKey(),
    state: text("state").notNull(),
    amount: bigint("amount", { mode: "bigint" }).notNull(),
    refunded: bigint("refunded", { mode: "bigint" }).notNull(),
    currency: text("currency").notNull(),
    declineCode: text("decline_code").notNull().default(""),
    /** The token that steers what becomes of it. */
    token: text("token").notNull().default(""),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [check("fake_charges_refunded", sql`${t.refunded} between 0 and ${t.amount}`)],
);

/** The fake provider's own books of money that went back, by idempotency key. */
export const fakeRefunds = payment.table("fake_refunds", {
  key: text("key").primaryKey(),
  chargeKey: text("charge_key").notNull(),
  amount: bigint("amount", { mode: "bigint" }).notNull(),
  /** succeeded or failed. */
  state: text("state").notNull(),
  createdAt: instant("created_at").notNull(),
});

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
} = kernelTables(payment);

import { sql } from "drizzle-orm";
import { bigint, boolean, check, index, integer, pgSchema, text, uniqueIndex } from "drizzle-orm/pg-core";
import { idColumn } from "./id";
import { instant, kernelTables } from "./kernel";

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
    amount: bigint("amount", { mode: "bigint" }).notNull(),
    currency: text("currency").notNull(),
    /** Whether the money is taken with the authorization. */
    capture: boolean("capture").notNull(),
    declineCode: text("decline_code").notNull().default(""),
    version: integer("version").notNull().default(1),
    createdAt: instant("created_at").notNull(),
    updatedAt: instant("updated_at").notNull(),
  },
  (t) => [
    index("payments_by_order").on(t.orderId, t.id),
    // an order has at most one payment that is or may become money
    uniqueIndex("payments_one_live")
      .on(t.orderId)
      .where(sql`${t.state} in ('PROCESSING', 'AUTHORIZED', 'CAPTURED')`),
    check("payments_amount", sql`${t.amount} >= 0`),
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
    createdAt: instant("created_at").notNull(),
  },
  (t) => [check("fake_charges_refunded", sql`${t.refunded} between 0 and ${t.amount}`)],
);

export const { outbox, inbox, deadLetters, idempotency } = kernelTables(payment);

import { sql } from "drizzle-orm";
import { bigint, boolean, index, integer, jsonb, pgSchema, text } from "drizzle-orm/pg-core";
import { idColumn } from "./id";
import { instant, kernelTables } from "./kernel";

export const checkout = pgSchema("checkout");

/** Which stored answer a running request owes. */
export interface OwedAnswer {
  scope: string;
  rpc: string;
  key: string;
  owner?: string;
}

/** Runs through the purchase of a cart: the state of the saga. */
export const checkouts = checkout.table(
  "checkouts",
  {
    id: idColumn("chk")("id").primaryKey(),
    cartId: idColumn("cart")("cart_id").notNull(),
    /** The buyer; null for guests. */
    userId: idColumn("usr")("user_id"),
    state: text("state").notNull(),
    orderId: idColumn("ord")("order_id").notNull(),
    /** The current attempt to pay. */
    paymentId: idColumn("pay")("payment_id").notNull(),
    /** Whether a decline undoes the checkout (PlaceOrder with payment) or lets it wait for another card. */
    paysAtOnce: boolean("pays_at_once").notNull(),
    /** Minor units; 0 until the cart is priced. */
    total: bigint("total", { mode: "bigint" }).notNull(),
    currency: text("currency").notNull(),
    failureReason: text("failure_reason").notNull().default(""),
    /** The refusal that the key of a failed checkout replays. */
    refusal: jsonb("refusal"),
    /** The answer that the request or the sweeper still has to write for an Idempotency-Key. */
    owes: jsonb("owes").$type<OwedAnswer>(),
    /** When an unpaid order ends; null unless it awaits payment. */
    expiresAt: instant("expires_at"),
    /** Until when whoever works on the checkout is left alone by the sweeper. */
    leaseUntil: instant("lease_until").notNull(),
    version: integer("version").notNull().default(1),
    createdAt: instant("created_at").notNull(),
    updatedAt: instant("updated_at").notNull(),
  },
  (t) => [
    index("checkouts_unfinished").on(t.leaseUntil).where(sql`${t.state} not in ('COMPLETED', 'FAILED')`),
  ],
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
} = kernelTables(checkout);

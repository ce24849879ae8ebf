import { sql } from "drizzle-orm";
import { bigint, check, integer, pgSchema, primaryKey, text, uniqueIndex } from "drizzle-orm/pg-core";
import { idColumn } from "./id";
import { instant, kernelTables } from "./kernel";

export const cart = pgSchema("cart");

/** Carts. The secret of a guest's cart is derived from its id and stored nowhere. */
export const carts = cart.table(
  "carts",
  {
    id: idColumn("cart")("id").primaryKey(),
    /** The owner; null for a guest's cart. */
    userId: idColumn("usr")("user_id"),
    state: text("state").notNull(),
    /** The checkout that locked or converted the cart; null while it is open. */
    checkoutId: idColumn("chk")("checkout_id"),
    /** Number of lines: the limit holds under races because it is on the row that every change locks. */
    lineCount: integer("line_count").notNull().default(0),
    /** Grows with each change of the lines or the coupon. */
    version: integer("version").notNull().default(1),
    /** Code of the coupon on the cart. */
    couponCode: text("coupon_code"),
    /** The user's cart that this guest's cart was merged into. */
    claimedInto: idColumn("cart")("claimed_into"),
    /** How often a checkout gave the cart back: tells a lock whether it sees all of `lock_fences`. */
    unlocks: integer("unlocks").notNull().default(0),
    /** When a checkout gave the cart, or a cart merged into it, back last: what is shown of its lines is newer. */
    reopenedAt: instant("reopened_at"),
    createdAt: instant("created_at").notNull(),
    updatedAt: instant("updated_at").notNull(),
  },
  (t) => [
    uniqueIndex("carts_active_by_user").on(t.userId).where(sql`${t.state} in ('OPEN', 'LOCKED')`),
    check("carts_state", sql`${t.state} in ('OPEN', 'LOCKED', 'CONVERTED', 'CLAIMED')`),
    check("carts_checkout", sql`(${t.state} in ('OPEN', 'CLAIMED')) = (${t.checkoutId} is null)`),
    check("carts_claim", sql`(${t.state} = 'CLAIMED') = (${t.claimedInto} is not null)`),
    check("carts_claimed_of_guest", sql`${t.state} <> 'CLAIMED' or ${t.userId} is null`),
    check("carts_line_count", sql`${t.lineCount} between 0 and 100`),
    check("carts_bought_something", sql`${t.state} in ('OPEN', 'CLAIMED') or ${t.lineCount} > 0`),
  ],
);

/** Lines of a cart. */
export const cartItems = cart.table(
  "cart_items",
  {
    cartId: idColumn("cart")("cart_id").notNull(),
    variantId: idColumn("var")("variant_id").notNull(),
    quantity: integer("quantity").notNull(),
    /** The cart version that brought the line: the order in which lines were added. */
    position: integer("position").notNull(),
    addedAt: instant("added_at").notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.cartId, t.variantId] }),
    check("cart_items_quantity", sql`${t.quantity} between 1 and 999`),
  ],
);

/** Checkouts that gave a cart back and can no longer lock it. */
export const lockFences = cart.table(
  "lock_fences",
  {
    cartId: idColumn("cart")("cart_id").notNull(),
    checkoutId: idColumn("chk")("checkout_id").notNull(),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [primaryKey({ columns: [t.cartId, t.checkoutId] })],
);

/** Amounts off a purchase; `amount` is minor units of `currency`. */
export const coupons = cart.table(
  "coupons",
  {
    /** Upper case. */
    code: text("code").primaryKey(),
    amount: bigint("amount", { mode: "bigint" }).notNull(),
    currency: text("currency").notNull(),
    redemptionLimit: integer("redemption_limit").notNull(),
    /** Number of its redemptions that were not released: the limit holds under races because it is on this row. */
    redeemed: integer("redeemed").notNull().default(0),
    /** From this instant on it is not redeemed any more; null: never ends. */
    expiresAt: instant("expires_at"),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [
    check("coupons_code", sql`${t.code} = upper(${t.code})`),
    check("coupons_amount", sql`${t.amount} > 0`),
    check("coupons_redeemed", sql`${t.redeemed} between 0 and ${t.redemptionLimit}`),
  ],
);

/** Which checkout redeemed what; a released one can not redeem again. */
export const redemptions = cart.table(
  "redemptions",
  {
    checkoutId: idColumn("chk")("checkout_id").primaryKey(),
    /** Null when it was released without having redeemed. */
    code: text("code"),
    /** redeemed or released. */
    state: text("state").notNull(),
    createdAt: instant("created_at").notNull(),
    updatedAt: instant("updated_at").notNull(),
  },
  (t) => [
    check("redemptions_state", sql`${t.state} in ('redeemed', 'released')`),
    check("redemptions_code", sql`${t.state} = 'released' or ${t.code} is not null`),
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
} = kernelTables(cart);

import { sql } from "drizzle-orm";
import { check, integer, pgSchema, primaryKey, text, uniqueIndex } from "drizzle-orm/pg-core";
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
    /** Grows with each change of the lines. */
    version: integer("version").notNull().default(1),
    createdAt: instant("created_at").notNull(),
    updatedAt: instant("updated_at").notNull(),
  },
  (t) => [
    uniqueIndex("carts_active_by_user").on(t.userId).where(sql`${t.state} in ('OPEN', 'LOCKED')`),
    check("carts_state", sql`${t.state} in ('OPEN', 'LOCKED', 'CONVERTED')`),
    check("carts_checkout", sql`(${t.state} = 'OPEN') = (${t.checkoutId} is null)`),
    check("carts_line_count", sql`${t.lineCount} between 0 and 100`),
    check("carts_bought_something", sql`${t.state} = 'OPEN' or ${t.lineCount} > 0`),
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

export const { outbox, inbox, deadLetters, idempotency } = kernelTables(cart);

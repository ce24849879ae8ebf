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
  uuid,
} from "drizzle-orm/pg-core";
import { idColumn } from "./id";
import { instant, kernelTables } from "./kernel";

export const product = pgSchema("product");

/** Products of the catalogue. */
export const products = product.table(
  "products",
  {
    id: idColumn("prod")("id").primaryKey(),
    handle: text("handle").notNull().unique(),
    title: text("title").notNull(),
    description: text("description").notNull(),
    vendor: text("vendor").notNull(),
    /** draft or published. */
    status: text("status").notNull(),
    media: jsonb("media").$type<{ url: string; alt: string }[]>().notNull(),
    /** Lowest price of its variants, for sorting; minor units. */
    priceMin: bigint("price_min", { mode: "bigint" }).notNull(),
    /** Lower-case title, for sorting. */
    titleKey: text("title_key").generatedAlwaysAs(sql`lower(title)`),
    /** What `q` looks into. */
    search: text("search").generatedAlwaysAs(sql`lower(title || ' ' || vendor || ' ' || description)`),
    version: integer("version").notNull().default(1),
    createdAt: instant("created_at").notNull(),
    updatedAt: instant("updated_at").notNull(),
  },
  (t) => [
    index("products_newest").on(t.id.desc()).where(sql`${t.status} = 'published'`),
    index("products_by_price").on(t.priceMin, t.id).where(sql`${t.status} = 'published'`),
    index("products_by_title").on(t.titleKey, t.id).where(sql`${t.status} = 'published'`),
    check("products_status", sql`${t.status} in ('draft', 'published')`),
  ],
);

/** What is bought: combinations of a product's options. */
export const variants = product.table(
  "variants",
  {
    id: idColumn("var")("id").primaryKey(),
    productId: idColumn("prod")("product_id").notNull(),
    sku: text("sku").notNull().unique(),
    title: text("title").notNull(),
    position: integer("position").notNull(),
    /** Minor units of `currency`. */
    price: bigint("price", { mode: "bigint" }).notNull(),
    compareAtPrice: bigint("compare_at_price", { mode: "bigint" }),
    currency: text("currency").notNull(),
    options: jsonb("options").$type<{ name: string; value: string }[]>().notNull(),
    /** False once the product no longer has it; kept for carts and orders that refer to it. */
    sold: boolean("sold").notNull(),
  },
  (t) => [
    index("variants_by_product").on(t.productId, t.position),
    check("variants_price", sql`${t.price} >= 0`),
  ],
);

/** Categories, made by imports. */
export const categories = product.table("categories", {
  id: idColumn("cat")("id").primaryKey(),
  slug: text("slug").notNull().unique(),
  title: text("title").notNull(),
});

/** Which product is in which category. */
export const productCategories = product.table(
  "product_categories",
  {
    productId: idColumn("prod")("product_id").notNull(),
    categoryId: idColumn("cat")("category_id").notNull(),
    position: integer("position").notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.productId, t.categoryId] }),
    index("product_categories_by_category").on(t.categoryId),
  ],
);

/** Units of each variant; `reserved` are those of active holds. */
export const stock = product.table(
  "stock",
  {
    variantId: idColumn("var")("variant_id").primaryKey(),
    tracked: boolean("tracked").notNull(),
    onHand: integer("on_hand").notNull(),
    reserved: integer("reserved").notNull().default(0),
    version: integer("version").notNull().default(1),
    /** How often the available units fell to the low-stock threshold: the sequence of StockLow. */
    lows: integer("lows").notNull().default(0),
  },
  (t) => [check("stock_never_negative", sql`${t.reserved} >= 0 and ${t.onHand} >= ${t.reserved}`)],
);

/**
 * Units held for checkouts. A hold leaves `active` exactly once: claimed, released or expired; a claimed one may be
 * returned, once. A release that came before its reservation is a hold that was released from the start.
 */
export const holds = product.table(
  "holds",
  {
    id: idColumn("hold")("id").primaryKey(),
    checkoutId: idColumn("chk")("checkout_id").notNull().unique(),
    /** Whose unpaid units are limited; null for guests. */
    userId: idColumn("usr")("user_id"),
    state: text("state").notNull(),
    /** When it ends by itself; null = never. */
    expiresAt: instant("expires_at"),
    /** Of the last call that set the end; earlier ones that arrive later are refused. */
    sequence: integer("sequence").notNull().default(0),
    createdAt: instant("created_at").notNull(),
    /** When it left `active`. */
    endedAt: instant("ended_at"),
  },
  (t) => [
    index("holds_active").on(t.expiresAt).where(sql`${t.state} = 'active'`),
    index("holds_by_user").on(t.userId).where(sql`${t.state} = 'active' and ${t.userId} is not null`),
    check("holds_state", sql`${t.state} in ('active', 'claimed', 'released', 'expired', 'returned')`),
    check("holds_ended", sql`(${t.state} = 'active') = (${t.endedAt} is null)`),
  ],
);

/** Tracked units of a hold. */
export const holdLines = product.table(
  "hold_lines",
  {
    holdId: idColumn("hold")("hold_id").notNull(),
    variantId: idColumn("var")("variant_id").notNull(),
    quantity: integer("quantity").notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.holdId, t.variantId] }),
    check("hold_lines_quantity", sql`${t.quantity} > 0`),
  ],
);

/** A row for each user who reserved units that expire: it grows with each, so that two at once notice each other. */
export const holdOwners = product.table("hold_owners", {
  userId: idColumn("usr")("user_id").primaryKey(),
  version: integer("version").notNull(),
});

/** Ledger of units on hand; append-only. on_hand is the sum of the deltas. */
export const stockMovements = product.table(
  "stock_movements",
  {
    id: uuid("id").primaryKey(),
    variantId: idColumn("var")("variant_id").notNull(),
    /** import, receive, adjust, sale or restock. */
    kind: text("kind").notNull(),
    delta: integer("delta").notNull(),
    /** What caused it: a checkout, or nothing. */
    reference: text("reference").notNull().default(""),
    note: text("note").notNull().default(""),
    at: instant("at").notNull(),
  },
  (t) => [
    index("stock_movements_by_variant").on(t.variantId, t.id),
    check("stock_movements_kind", sql`${t.kind} in ('import', 'receive', 'adjust', 'sale', 'restock')`),
    check("stock_movements_delta", sql`${t.delta} <> 0`),
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
} = kernelTables(product);

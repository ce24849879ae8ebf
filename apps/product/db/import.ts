import type { Tx } from "@mall/kernel/db/client";
import { sqlStatement } from "@mall/kernel/db/statement";
import { type Id, idOf, uuidv7 } from "@mall/kernel/id";
import { sql } from "drizzle-orm";
import { type ImportedProduct, slugOf } from "../domain/shopify-csv";
import type { LowStock } from "../domain/stock";

const lockImport = sqlStatement<object, object>(
  () => sql`select pg_advisory_xact_lock(hashtext('product.import'))`,
);

/** Lets one import run at a time. */
export async function lockImports(tx: Tx): Promise<void> {
  await lockImport(tx, {});
}

const selectKnown = sqlStatement<
  { handles: string; skus: string },
  { kind: string; name: string; id: string; product_id: string }
>(
  (p) => sql`select 'product' as kind, handle as name, id, id as product_id from product.products
      where handle in (select jsonb_array_elements_text(${p.handles}::text::jsonb))
    union all
    select 'variant', sku, id, product_id from product.variants
      where sku in (select jsonb_array_elements_text(${p.skus}::text::jsonb))`,
);

/** What exists already: product ids by handle; variant and product ids by SKU. */
export async function findKnown(tx: Tx, products: readonly ImportedProduct[]) {
  const rows = await selectKnown(tx, {
    handles: JSON.stringify(products.map((p) => p.handle)),
    skus: JSON.stringify(products.flatMap((p) => p.variants.map((v) => v.sku))),
  });
  return {
    productIds: new Map(rows.filter((r) => r.kind === "product").map((r) => [r.name, r.id])),
    variants: new Map(
      rows.filter((r) => r.kind === "variant").map((r) => [r.name, { id: r.id, productId: r.product_id }]),
    ),
  };
}

/** An imported product with the UUIDs it will be stored under. */
export interface Placed {
  id: string;
  product: ImportedProduct;
  variantIds: string[];
}

const selectUnchanged = sqlStatement<{ rows: string }, { id: string }>(
  (p) => sql`with held as materialized (
      select p.id, r.content as given, jsonb_build_array(p.title, p.description, p.vendor, p.status, p.media,
        (select coalesce(jsonb_agg(c.slug order by pc.position), '[]')
          from product.product_categories pc join product.categories c on c.id = pc.category_id
          where pc.product_id = p.id),
        (select coalesce(jsonb_agg(jsonb_build_array(v.sku, v.title, v.price::text, v.compare_at_price::text, v.currency,
            v.options, s.tracked) order by v.position), '[]')
          from product.variants v join product.stock s on s.variant_id = v.id where v.product_id = p.id and v.sold)
      ) as content
      from jsonb_to_recordset(${p.rows}::text::jsonb) as r(id uuid, content jsonb)
      join product.products p on p.id = r.id
    )
    select id from held where content = given`,
);

const statusOf = (product: ImportedProduct): string => (product.published ? "published" : "draft");
const mediaOf = (product: ImportedProduct) => product.media.map(({ url, alt }) => ({ url, alt }));

/** Those of the products that are stored already exactly as they are, whatever their stock is. */
async function findUnchanged(tx: Tx, placed: readonly Placed[], currency: string): Promise<Set<string>> {
  const rows = placed.map(({ id, product }) => {
    const { title, description, vendor, categories, variants } = product;
    const sold = variants.map((v) => [
      ...[v.sku, v.title, String(v.price), v.compareAtPrice?.toString() ?? null, currency, v.options],
      v.trackInventory,
    ]);
    const content = [
      title,
      description,
      vendor,
      statusOf(product),
      mediaOf(product),
      categories.map(slugOf),
      sold,
    ];
    return { id, content };
  });
  return new Set((await selectUnchanged(tx, { rows: JSON.stringify(rows) })).map((row) => row.id));
}

const upsertProducts = sqlStatement<
  { rows: string; now: Date },
  { id: string; version: number; created: boolean }
>(
  (
    p,
  ) => sql`insert into product.products as held (id, handle, title, description, vendor, status, media, price_min,
      created_at, updated_at)
    select id, handle, title, description, vendor, status, media, price_min, ${p.now}::timestamptz, ${p.now}::timestamptz
    from jsonb_to_recordset(${p.rows}::text::jsonb) as r(id uuid, handle text, title text, description text, vendor text,
      status text, media jsonb, price_min bigint)
    on conflict (handle) do update set title = excluded.title, description = excluded.description,
      vendor = excluded.vendor, status = excluded.status, media = excluded.media, price_min = excluded.price_min,
      version = held.version + 1, updated_at = excluded.updated_at
    returning id, version, version = 1 as created`,
);

const withdraw = sqlStatement<{ ids: string }, object>(
  (p) =>
    sql`update product.variants set sold = false where product_id = any(string_to_array(${p.ids}, ',')::uuid[])`,
);

const upsertVariants = sqlStatement<{ rows: string }, object>(
  (
    p,
  ) => sql`insert into product.variants as held (id, product_id, sku, title, position, price, compare_at_price,
      currency, options, sold)
    select id, product_id, sku, title, position, price, compare_at_price, currency, options, true
    from jsonb_to_recordset(${p.rows}::text::jsonb) as r(id uuid, product_id uuid, sku text, title text, position int,
      price bigint, compare_at_price bigint, currency text, options jsonb)
    on conflict (id) do update set title = excluded.title, position = excluded.position, price = excluded.price,
      compare_at_price = excluded.compare_at_price, currency = excluded.currency, options = excluded.options, sold = true`,
);

// Only what changes is locked, so that checkouts do not wait for an import of what they buy.
const upsertStock = sqlStatement<
  { rows: string; setStock: boolean; lowAt: number; now: Date },
  { variant_id: string; available: number; times: number }
>(
  (p) => sql`with given as (
      select * from jsonb_to_recordset(${p.rows}::text::jsonb)
        as r(variant_id uuid, tracked boolean, quantity int, movement_id uuid)
    ), known as (
      select s.variant_id from product.stock s where s.variant_id in (select variant_id from given)
    ), before as (
      select s.variant_id, s.tracked, s.on_hand, s.reserved
      from product.stock s join given g on g.variant_id = s.variant_id
      where ${p.setStock} or s.tracked <> g.tracked order by s.variant_id for no key update of s
    ), target as (
      select g.variant_id, g.tracked, g.movement_id, b.on_hand as old,
        case when b.variant_id is null or (g.tracked and (${p.setStock} or not b.tracked))
          then greatest(g.quantity, b.reserved) else b.on_hand end as new
      from given g left join before b on b.variant_id = g.variant_id
      where b.variant_id is not null or g.variant_id not in (select variant_id from known)
    ), fallen as (
      select b.variant_id from before b join target t on t.variant_id = b.variant_id
      where b.tracked and t.tracked and b.on_hand - b.reserved > ${p.lowAt}::int and t.new - b.reserved <= ${p.lowAt}::int
    ), written as (
      insert into product.stock as held (variant_id, tracked, on_hand) select variant_id, tracked, new from target
      on conflict (variant_id) do update set tracked = excluded.tracked, on_hand = excluded.on_hand,
        version = held.version + case when held.on_hand <> excluded.on_hand then 1 else 0 end,
        lows = held.lows + case when held.variant_id in (select variant_id from fallen) then 1 else 0 end
      returning variant_id, on_hand - reserved as available, lows as times
    ), ledger as (
      insert into product.stock_movements (id, variant_id, kind, delta, at)
      select movement_id, variant_id, 'import', new - coalesce(old, 0), ${p.now} from target where new <> coalesce(old, 0)
    )
    select variant_id, available, times from written where variant_id in (select variant_id from fallen)`,
);

const linkCategories = sqlStatement<{ categories: string; links: string }, object>(
  (p) => sql`with given as (
      select * from jsonb_to_recordset(${p.categories}::text::jsonb) as r(id uuid, slug text, title text)
    ), stored as (
      insert into product.categories (id, slug, title) select id, slug, title from given
      on conflict (slug) do update set title = excluded.title returning id, slug
    )
    insert into product.product_categories (product_id, category_id, position)
    select l.product_id, stored.id, l.position
    from jsonb_to_recordset(${p.links}::text::jsonb) as l(product_id uuid, slug text, position int)
    join stored on stored.slug = l.slug`,
);

const unlinkCategories = sqlStatement<{ ids: string }, object>(
  (p) =>
    sql`delete from product.product_categories where product_id = any(string_to_array(${p.ids}, ',')::uuid[])`,
);

const lowestPrice = (product: ImportedProduct): string =>
  String(
    product.variants.reduce((lowest, v) => (v.price < lowest ? v.price : lowest), product.variants[0]!.price),
  );

interface StoreOptions {
  currency: string;
  setStock: boolean;
  /** Available units at which stock is low. */
  lowAt: number;
  now: Date;
}

async function storeDetails(tx: Tx, placed: readonly Placed[], now: Date) {
  const rows = placed.map(({ id, product }) => ({
    ...{ id, handle: product.handle, title: product.title, description: product.description },
    ...{ vendor: product.vendor, status: statusOf(product), media: mediaOf(product) },
    price_min: lowestPrice(product),
  }));
  return upsertProducts(tx, { rows: JSON.stringify(rows), now });
}

async function storeVariants(tx: Tx, placed: readonly Placed[], currency: string): Promise<void> {
  const rows = placed.flatMap(({ id, product, variantIds }) =>
    product.variants.map(({ sku, title, options, price, compareAtPrice }, position) => ({
      ...{ id: variantIds[position]!, product_id: id, position, sku, title, options, currency },
      ...{ price: String(price), compare_at_price: compareAtPrice?.toString() },
    })),
  );
  await withdraw(tx, { ids: placed.map((p) => p.id).join(",") });
  await upsertVariants(tx, { rows: JSON.stringify(rows) });
}

async function storeStock(tx: Tx, placed: readonly Placed[], options: StoreOptions): Promise<LowStock[]> {
  const { setStock, lowAt, now } = options;
  const rows = placed.flatMap(({ product, variantIds }) =>
    product.variants.map(({ trackInventory, onHand }, position) => ({
      ...{ variant_id: variantIds[position]!, tracked: trackInventory, quantity: onHand },
      movement_id: uuidv7(now.getTime()),
    })),
  );
  const fallen = await upsertStock(tx, { rows: JSON.stringify(rows), setStock, lowAt, now });
  return fallen.map((row) => ({ ...row, variantId: idOf("var", row.variant_id) }));
}

async function storeCategories(tx: Tx, placed: readonly Placed[], now: Date): Promise<void> {
  const titles = new Map(
    placed.flatMap(({ product }) => product.categories.map((title) => [slugOf(title), title] as const)),
  );
  const categories = [...titles].map(([slug, title]) => ({ id: uuidv7(now.getTime()), slug, title }));
  const links = placed.flatMap(({ id, product }) =>
    product.categories.map((title, position) => ({ product_id: id, slug: slugOf(title), position })),
  );
  await unlinkCategories(tx, { ids: placed.map((p) => p.id).join(",") });
  await linkCategories(tx, { categories: JSON.stringify(categories), links: JSON.stringify(links) });
}

/**
 * Stores products with variants, stock and categories in a constant number of statements. Returns those that are new
 * or changed, stock being no change of a product, and the stock that fell low. Stock that was counted before is left
 * alone unless `setStock`, and then is never set below what is reserved.
 */
export async function storeProducts(
  tx: Tx,
  placed: readonly Placed[],
  options: StoreOptions,
): Promise<{ stored: { id: Id<"prod">; version: number; created: boolean }[]; low: LowStock[] }> {
  const unchanged = await findUnchanged(tx, placed, options.currency);
  const changed = placed.filter(({ id }) => !unchanged.has(id));
  const stored = changed.length > 0 ? await storeDetails(tx, changed, options.now) : [];
  if (changed.length > 0) {
    await storeVariants(tx, changed, options.currency);
    await storeCategories(tx, changed, options.now);
  }
  const low = await storeStock(tx, placed, options);
  return { stored: stored.map((row) => ({ ...row, id: idOf("prod", row.id) })), low };
}

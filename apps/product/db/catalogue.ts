import type { Session } from "@mall/kernel/db/client";
import { type Params, sqlStatement } from "@mall/kernel/db/statement";
import { type Id, idOf, uuidOf } from "@mall/kernel/id";
import { type SQL, sql } from "drizzle-orm";
import type { PagePosition, Product, SoldVariant, Sort, Variant } from "../domain/catalogue";

interface VariantJson {
  id: string;
  sku: string;
  title: string;
  price: string;
  compare_at_price: string | null;
  currency: string;
  tracked: boolean;
  available: number;
  options: { name: string; value: string }[];
}

interface ProductRow {
  id: string;
  handle: string;
  title: string;
  description: string;
  vendor: string;
  media: string;
  version: number;
  created_at: string;
  updated_at: string;
  variants: string;
  categories: string;
  sort_value: string;
}

const variantJson = sql`jsonb_build_object('id', v.id, 'sku', v.sku, 'title', v.title, 'price', v.price::text,
  'compare_at_price', v.compare_at_price::text, 'currency', v.currency, 'tracked', s.tracked,
  'available', s.on_hand - s.reserved, 'options', v.options)`;

const productColumns = sql`p.id, p.handle, p.title, p.description, p.vendor, p.media::text as media, p.version,
  p.created_at, p.updated_at,
  (select coalesce(jsonb_agg(${variantJson} order by v.position), '[]')::text
    from product.variants v join product.stock s on s.variant_id = v.id
    where v.product_id = p.id and v.sold) as variants,
  (select coalesce(jsonb_agg(jsonb_build_object('slug', c.slug, 'title', c.title) order by pc.position), '[]')::text
    from product.product_categories pc join product.categories c on c.id = pc.category_id
    where pc.product_id = p.id) as categories`;

function jsonToVariant(row: VariantJson): Variant {
  const money = (minor: string) => ({ currency: row.currency, minor: BigInt(minor) });
  return {
    id: idOf("var", row.id),
    sku: row.sku,
    title: row.title,
    price: money(row.price),
    compareAtPrice: row.compare_at_price === null ? undefined : money(row.compare_at_price),
    trackInventory: row.tracked,
    available: row.tracked ? row.available : undefined,
    options: row.options,
  };
}

const rowToProduct = (row: ProductRow): Product => ({
  id: idOf("prod", row.id),
  handle: row.handle,
  title: row.title,
  description: row.description,
  vendor: row.vendor,
  categories: JSON.parse(row.categories) as Product["categories"],
  media: JSON.parse(row.media) as Product["media"],
  variants: (JSON.parse(row.variants) as VariantJson[]).map(jsonToVariant),
  version: row.version,
  createdAt: new Date(row.created_at),
  updatedAt: new Date(row.updated_at),
});

const selectProduct = sqlStatement<{ id: string }, ProductRow>(
  (p) => sql`select ${productColumns}, '' as sort_value from product.products p
    where p.id = ${p.id} and p.status = 'published'`,
);

/** A published product with variants and categories, in one statement. */
export async function findProduct(session: Session, id: Id<"prod">): Promise<Product | undefined> {
  const [row] = await selectProduct(session, { id: uuidOf(id) });
  return row && rowToProduct(row);
}

interface PageParams {
  category: string | null;
  words: string;
  value: string | null;
  id: string | null;
  limit: number;
}

/** The page statement of one order: `after` compares with the position, `by` sorts, `value` is what the position keeps. */
const pageStatement = (parts: (p: Params<PageParams>) => { after: SQL; by: SQL; value: SQL }) =>
  sqlStatement<PageParams, ProductRow>((p) => {
    const { after, by, value } = parts(p);
    return sql`select ${productColumns}, ${value} as sort_value from product.products p
      where p.status = 'published'
        and (${p.id}::uuid is null or ${after})
        and (${p.category}::text is null or exists (select from product.product_categories pc
          join product.categories c on c.id = pc.category_id where pc.product_id = p.id and c.slug = ${p.category}))
        and not exists (select from jsonb_array_elements_text(${p.words}::text::jsonb) word where p.search not like word)
      order by ${by} limit ${p.limit}`;
  });

const pages: Record<Sort, ReturnType<typeof pageStatement>> = {
  newest: pageStatement((p) => ({ after: sql`p.id < ${p.id}::uuid`, by: sql`p.id desc`, value: sql`''` })),
  price: pageStatement((p) => ({
    after: sql`(p.price_min, p.id) > (${p.value}::text::bigint, ${p.id}::uuid)`,
    by: sql`p.price_min, p.id`,
    value: sql`p.price_min::text`,
  })),
  "-price": pageStatement((p) => ({
    after: sql`(p.price_min, p.id) < (${p.value}::text::bigint, ${p.id}::uuid)`,
    by: sql`p.price_min desc, p.id desc`,
    value: sql`p.price_min::text`,
  })),
  title: pageStatement((p) => ({
    after: sql`(p.title_key, p.id) > (${p.value}::text, ${p.id}::uuid)`,
    by: sql`p.title_key, p.id`,
    value: sql`p.title_key`,
  })),
};

/** LIKE patterns of the words of a query; all have to match. */
const likePatterns = (query: string): string[] =>
  query
    .toLowerCase()
    .split(/\s+/)
    .filter(Boolean)
    .map((word) => `%${word.replaceAll(/[\\%_]/g, "\\$&")}%`);

export interface PageQuery {
  sort: Sort;
  category?: string;
  words: string;
  after?: PagePosition;
  limit: number;
}

/** Up to `limit` published products after a position, with where each of them stands, in one statement. */
export async function listProducts(
  session: Session,
  query: PageQuery,
): Promise<{ product: Product; position: PagePosition }[]> {
  const rows = await pages[query.sort](session, {
    category: query.category ?? null,
    words: JSON.stringify(likePatterns(query.words)),
    value: query.after?.value ?? null,
    id: query.after?.id ?? null,
    limit: query.limit,
  });
  return rows.map((row) => ({ product: rowToProduct(row), position: { value: row.sort_value, id: row.id } }));
}

interface SoldRow {
  variant: string;
  product_id: string;
  product_title: string;
}

const selectSold = sqlStatement<{ ids: string }, SoldRow>(
  (p) => sql`select ${variantJson}::text as variant, p.id as product_id, p.title as product_title
    from product.variants v join product.stock s on s.variant_id = v.id join product.products p on p.id = v.product_id
    where v.id = any(string_to_array(${p.ids}, ',')::uuid[]) and v.sold and p.status = 'published'`,
);

/** Those of the variants that are sold, in no particular order. */
export async function findSoldVariants(session: Session, ids: readonly Id<"var">[]): Promise<SoldVariant[]> {
  const rows = await selectSold(session, { ids: ids.map(uuidOf).join(",") });
  return rows.map((row) => ({
    variant: jsonToVariant(JSON.parse(row.variant) as VariantJson),
    productId: idOf("prod", row.product_id),
    productTitle: row.product_title,
  }));
}

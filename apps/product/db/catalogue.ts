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

/** One order: `after` compares with the position, `by` sorts, `value` is what the position keeps. */
interface Order {
  after: (p: Params<PageParams>) => SQL;
  by: SQL;
  value: SQL;
}

const orders: Record<Sort, Order> = {
  // as the index has it: no other order of NULLs could use it, even where there are none
  newest: { after: (p) => sql`p.id < ${p.id}::uuid`, by: sql`p.id desc nulls last`, value: sql`''` },
  price: {
    after: (p) => sql`(p.price_min, p.id) > (${p.value}::text::bigint, ${p.id}::uuid)`,
    by: sql`p.price_min, p.id`,
    value: sql`p.price_min::text`,
  },
  "-price": {
    after: (p) => sql`(p.price_min, p.id) < (${p.value}::text::bigint, ${p.id}::uuid)`,
    by: sql`p.price_min desc, p.id desc`,
    value: sql`p.price_min::text`,
  },
  // a long title would not fit into a page token: its position is looked up
  title: {
    after: (p) => sql`(p.title_key, p.id) > (coalesce(nullif(${p.value}::text, ''),
      (select last.title_key from product.products last where last.id = ${p.id}::uuid)), ${p.id}::uuid)`,
    by: sql`p.title_key, p.id`,
    value: sql`case when length(p.title_key) <= 150 then p.title_key else '' end`,
  },
};

const hasCategory = (p: Params<PageParams>) => sql`exists (select from product.product_categories pc
  join product.categories c on c.id = pc.category_id where pc.product_id = p.id and c.slug = ${p.category})`;

const hasWords = (p: Params<PageParams>) => sql`p.search like all (array(
  select lower(word) from jsonb_array_elements_text(${p.words}::text::jsonb) word))`;

/** Conditions of a page; those that are not asked for must not be in the statement, or no index serves the others. */
interface Shape {
  sort: Sort;
  isLater: boolean;
  isOfCategory: boolean;
  isSearch: boolean;
}

const pageStatement = ({ sort, isLater, isOfCategory, isSearch }: Shape) =>
  sqlStatement<PageParams, ProductRow>((p) => {
    const { after, by, value } = orders[sort];
    const conditions = [
      sql`p.status = 'published'`,
      ...(isLater ? [after(p)] : []),
      ...(isOfCategory ? [hasCategory(p)] : []),
      ...(isSearch ? [hasWords(p)] : []),
    ];
    return sql`select ${productColumns}, ${value} as sort_value from product.products p
      where ${sql.join(conditions, sql` and `)} order by ${by} limit ${p.limit}`;
  });

const pages = new Map<string, ReturnType<typeof pageStatement>>();

/** The one statement of a shape, of which there are 32. */
function pageOf(shape: Shape): ReturnType<typeof pageStatement> {
  const key = JSON.stringify(shape);
  const page = pages.get(key) ?? pageStatement(shape);
  pages.set(key, page);
  return page;
}

/** LIKE patterns of the words of a query; all have to match. */
const likePatterns = (query: string): string[] =>
  [...new Set(query.split(/\s+/).filter(Boolean))].map((word) => `%${word.replaceAll(/[\\%_]/g, "\\$&")}%`);

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
  const words = likePatterns(query.words);
  const page = pageOf({
    sort: query.sort,
    isLater: query.after !== undefined,
    isOfCategory: query.category !== undefined,
    isSearch: words.length > 0,
  });
  const rows = await page(session, {
    category: query.category ?? null,
    words: JSON.stringify(words),
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

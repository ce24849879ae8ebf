import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { idOf } from "@mall/kernel/id";
import type { Cluster } from "./cluster";
import { asOperator } from "./operator";
import { must } from "./proof";

/** A variant on the shelf. */
export interface Goods {
  id: string;
  sku: string;
  priceMinor: number;
  units: number;
}

/** What an import needs to know of one variant. */
export interface GoodsPlan {
  units: number;
  priceMinor: number;
}

/** Imports one product a plan; SKUs begin with `prefix`, which must be new. */
export async function stockShelves(
  cluster: Pick<Cluster, "env" | "sql">,
  prefix: string,
  plans: readonly GoodsPlan[],
): Promise<Goods[]> {
  const skuOf = (i: number) => `${prefix}-${String(i).padStart(5, "0")}`;
  const rows = plans.map(({ units, priceMinor }, i) =>
    [skuOf(i), `Thing ${skuOf(i)}`, "TRUE", skuOf(i), "shopify", units, (priceMinor / 100).toFixed(2)].join(
      ",",
    ),
  );
  const header =
    "Handle,Title,Published,Variant SKU,Variant Inventory Tracker,Variant Inventory Qty,Variant Price";
  const { problems } = await asOperator(cluster, (mall) =>
    mall.client(ProductService).importProducts({ csv: [header, ...rows].join("\n") }),
  );
  must(problems.length === 0, () => `the import of ${prefix} failed: ${problems[0]?.detail}`);
  const found = await cluster.sql<{ id: string; sku: string }[]>`
    select id, sku from product.variants where sku like ${`${prefix}-%`} order by sku`;
  must(
    found.length === plans.length,
    `${found.length} of ${plans.length} variants of ${prefix} were imported`,
  );
  return found.map(({ id, sku }, i) => ({ id: idOf("var", id), sku, ...plans[i]! }));
}

import { ProductChangedSchema } from "@mall/gen/mall/product/v1/events_pb";
import { fault } from "@mall/kernel/fault";
import { idOf, uuidv7 } from "@mall/kernel/id";
import { findKnown, lockImports, type Placed, storeProducts } from "../db/import";
import type { Deps } from "../deps";
import { type ImportedProduct, parseShopifyCsv } from "../domain/shopify-csv";
import type { RowProblem } from "../domain/shopify-row";
import { announceLow } from "./announce-low";
import { lockStock } from "./lock-stock";

export interface ImportReport {
  created: number;
  updated: number;
  variants: number;
  rows: number;
  problems: RowProblem[];
}

/** A batch locks the stock it sets while it runs, so it has to be short. */
const variantsPerBatch = 400;

/** Cuts the products of a file into batches; a product is in one batch only, however many variants it has. */
function batchesOf(products: readonly ImportedProduct[]): ImportedProduct[][] {
  const batches: ImportedProduct[][] = [];
  let variants = variantsPerBatch;
  for (const product of products) {
    variants += product.variants.length;
    if (variants > variantsPerBatch) {
      batches.push([]);
      variants = product.variants.length;
    }
    batches.at(-1)!.push(product);
  }
  return batches;
}

type Known = Awaited<ReturnType<typeof findKnown>>;

/** Gives a product its ids; variants whose SKU another product has are left out and reported. */
function place(
  product: ImportedProduct,
  known: Known,
  now: Date,
  problems: RowProblem[],
): Placed | undefined {
  const id = known.productIds.get(product.handle) ?? uuidv7(now.getTime());
  const variants = product.variants.filter(({ sku, line }) => {
    const owner = known.variants.get(sku)?.productId;
    if (owner === undefined || owner === id) return true;
    const detail = `The SKU "${sku}" belongs to another product already.`;
    problems.push({ line, handle: product.handle, reason: "SKU_TAKEN", detail });
    return false;
  });
  if (variants.length === 0) return undefined;
  const variantIds = variants.map(({ sku }) => known.variants.get(sku)?.id ?? uuidv7(now.getTime()));
  return { id, product: { ...product, variants }, variantIds };
}

type BatchReport = Omit<ImportReport, "rows">;

/** Stores some products of a file in one transaction: all that they need, or nothing. */
const importBatch = (deps: Deps, batch: ImportedProduct[], setStock: boolean): Promise<BatchReport> =>
  deps.db.tx(async (tx) => {
    await lockImports(tx);
    const now = deps.clock();
    const known = await findKnown(tx, batch);
    // due holds end first, or their units would count as reserved and the stock be set too high
    const existing = [...known.variants.values()].map(({ id }) => idOf("var", id));
    if (setStock) await lockStock(deps, tx, existing, now);
    const problems: RowProblem[] = [];
    const placed = batch.flatMap((product) => place(product, known, now, problems) ?? []);
    if (placed.length === 0) return { created: 0, updated: 0, variants: 0, problems };
    const { currency, lowAt } = deps;
    const { stored, low } = await storeProducts(tx, placed, { currency, setStock, lowAt, now });
    const events = stored.map(({ id, version }) => ({
      ...{ desc: ProductChangedSchema, subject: id, sequence: version },
      data: { productId: id, version },
    }));
    if (events.length > 0) await deps.announce(tx, ...events);
    await announceLow(deps, tx, low);
    const created = stored.filter((product) => product.created).length;
    const variants = placed.reduce((sum, { product }) => sum + product.variants.length, 0);
    const counts = { created, updated: placed.length - created, variants };
    await deps.audit.record(tx, { action: "ImportProducts", metadata: { ...counts, setStock } });
    return { ...counts, problems };
  });

/**
 * Imports a Shopify product CSV: products are created or updated by handle, variants by SKU; variants that the file no
 * longer has are withdrawn. Each product is stored whole or not at all; an import that broke off is repeated, and what
 * it has stored already does not change again. Broken rows are reported and skipped. Fault NOT_A_CATALOGUE for a file
 * that is no such CSV: nothing of it is imported.
 */
export const importProducts =
  (deps: Deps) =>
  async (csv: string, setStock: boolean): Promise<ImportReport> => {
    const read = parseShopifyCsv(csv, { currency: deps.currency });
    if (read.kind === "not_csv") {
      const violations = [{ pointer: "#/csv", detail: read.detail }];
      throw fault("invalid_argument", "NOT_A_CATALOGUE", read.detail, { violations });
    }
    const { products, problems, rows } = read;
    const report: ImportReport = { created: 0, updated: 0, variants: 0, rows, problems: [...problems] };
    for (const batch of batchesOf(products)) {
      const done = await importBatch(deps, batch, setStock);
      report.created += done.created;
      report.updated += done.updated;
      report.variants += done.variants;
      report.problems.push(...done.problems);
    }
    report.problems.sort((a, b) => a.line - b.line);
    return report;
  };

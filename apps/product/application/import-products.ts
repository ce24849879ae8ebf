import { ProductChangedSchema } from "@mall/gen/mall/product/v1/events_pb";
import type { Tx } from "@mall/kernel/db/client";
import { fault } from "@mall/kernel/fault";
import { uuidv7 } from "@mall/kernel/id";
import { findKnown, lockImports, type Placed, storeProducts } from "../db/import";
import type { Deps } from "../deps";
import { type ImportedProduct, parseShopifyCsv } from "../domain/shopify-csv";
import type { RowProblem } from "../domain/shopify-row";

export interface ImportReport {
  created: number;
  updated: number;
  variants: number;
  rows: number;
  problems: RowProblem[];
}

const productsPerBatch = 500;

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

async function importBatch(
  deps: Deps,
  tx: Tx,
  batch: ImportedProduct[],
  setStock: boolean,
  report: ImportReport,
): Promise<void> {
  const now = deps.clock();
  const known = await findKnown(tx, batch);
  const placed = batch.flatMap((product) => place(product, known, now, report.problems) ?? []);
  if (placed.length === 0) return;
  const stored = await storeProducts(tx, placed, { currency: deps.currency, setStock, now });
  report.created += stored.filter((product) => product.created).length;
  report.updated += stored.filter((product) => !product.created).length;
  report.variants += placed.reduce((sum, { product }) => sum + product.variants.length, 0);
  const events = stored.map(({ id, version }) => ({
    ...{ desc: ProductChangedSchema, subject: id, sequence: version },
    data: { productId: id, version },
  }));
  await deps.announce(tx, ...events);
}

/**
 * Imports a Shopify product CSV in one transaction: products are created or updated by handle, variants by SKU;
 * variants that the file no longer has are withdrawn. Broken rows are reported and skipped. Fault NOT_A_CATALOGUE
 * for a file that is no such CSV: nothing of it is imported.
 */
export const importProducts =
  (deps: Deps) =>
  async (csv: string, setStock: boolean): Promise<ImportReport> => {
    const read = parseShopifyCsv(csv, { currency: deps.currency });
    if (read.kind === "not_csv") {
      throw fault("invalid_argument", "NOT_A_CATALOGUE", read.detail, {
        violations: [{ pointer: "#/csv", detail: read.detail }],
      });
    }
    return deps.db.tx(async (tx) => {
      const report: ImportReport = {
        created: 0,
        updated: 0,
        variants: 0,
        rows: read.rows,
        problems: [...read.problems],
      };
      await lockImports(tx);
      for (let at = 0; at < read.products.length; at += productsPerBatch) {
        await importBatch(deps, tx, read.products.slice(at, at + productsPerBatch), setStock, report);
      }
      report.problems.sort((a, b) => a.line - b.line);
      return report;
    });
  };

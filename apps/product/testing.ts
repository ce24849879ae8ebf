import { afterAll, beforeAll, expect } from "bun:test";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { InventoryService } from "@mall/gen/mall/product/v1/inventory_pb";
import { type Product, ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { type Id, idOf, uuidOf } from "@mall/kernel/id";
import { rpcScope } from "@mall/kernel/identity/service-token";
import { httpRuleOf } from "@mall/kernel/rpc/http-rule";
import { type CountedDb, counted } from "@mall/kernel/testing/counted";
import { type As, type Harness, harness } from "@mall/kernel/testing/harness";
import { createProductCommands, createProductService } from "./service";

const columns = [
  ...["Handle", "Title", "Body (HTML)", "Vendor", "Type", "Tags", "Published", "Option1 Name"],
  ...["Option1 Value", "Variant SKU", "Variant Inventory Tracker", "Variant Inventory Qty"],
  ...["Variant Price", "Variant Compare At Price", "Image Src"],
];
/** A row of a Shopify product file, by its columns. */
export type Row = Record<string, string>;

/** A product file of these rows. */
export const csvOf = (rows: readonly Row[]): string =>
  [columns, ...rows.map((row) => columns.map((column) => row[column] ?? ""))]
    .map((cells) => cells.map((cell) => `"${cell}"`).join(","))
    .join("\n");

/** A variant to be sold. */
export interface Size {
  /** Units on hand; undefined: not tracked. */
  units?: number;
  price?: string;
}

/** Rows of one product with a variant a size; SKUs are `<handle>-<number from 0>`. */
export function rowsOf(handle: string, sizes: readonly Size[], over: Row = {}): Row[] {
  return sizes.map(({ units, price = "10.00" }, index) => ({
    Handle: handle,
    "Option1 Name": "Size",
    "Option1 Value": `S${index}`,
    "Variant SKU": `${handle}-${index}`,
    "Variant Inventory Tracker": units === undefined ? "" : "shopify",
    "Variant Inventory Qty": String(units ?? 0),
    "Variant Price": price,
    ...(index === 0 ? { Title: handle, ...over } : {}),
  }));
}

let made = 0;
/** A number that was not given before, for names that must be new. */
export const newNumber = () => ++made;
/** A handle that no product has yet. */
export const newHandle = () => `thing-${newNumber()}`;

/** What can be done in the catalogue of a running service. */
function catalogueOf(mall: () => Harness) {
  const shop = (as: As = {}) => mall().client(ProductService, as);
  const importRows = (rows: readonly Row[], setStock = false) =>
    shop({ service: "mall" }).importProducts({ csv: csvOf(rows), setStock });
  async function productIdOf(handle: string): Promise<Id<"prod">> {
    const [row] = await mall().db.sql`select id from product.products where handle = ${handle}`;
    return idOf("prod", row!.id);
  }
  const read = async (handle: string): Promise<Product> =>
    (await shop().getProduct({ productId: await productIdOf(handle) })).product!;
  return {
    shop,
    importRows,
    productIdOf,
    read,
    async variantIdOf(sku: string): Promise<Id<"var">> {
      const [row] = await mall().db.sql`select id from product.variants where sku = ${sku}`;
      return idOf("var", row!.id);
    },
    /** Puts a new product on sale with a variant a number; `undefined` is one whose stock is not tracked. */
    async sell(...units: (number | undefined)[]): Promise<{ handle: string; ids: string[] }> {
      const handle = newHandle();
      const sizes = units.map((count) => ({ units: count }));
      await importRows(rowsOf(handle, sizes));
      return { handle, ids: (await read(handle)).variants.map((variant) => variant.id) };
    },
    /** What the command line gets for a POST over HTTP, Connect or REST. */
    async post(path: string, body: string, extra: Record<string, string> = {}) {
      const headers = await mall().headers({ service: "mall" }, scopeOf(path));
      for (const [name, value] of Object.entries({ "content-type": "application/json", ...extra }))
        headers.set(name, value);
      const request = new Request(`http://product${path}`, { method: "POST", headers, body });
      const response = await mall().app.fetch(request);
      const text = await response.text();
      const json = JSON.parse(text) as Record<string, unknown>;
      return { status: response.status, headers: response.headers, text, json };
    },
  };
}

/** What a token has to be for that goes with a POST. */
function scopeOf(path: string): string {
  if (path.startsWith("/mall.")) return path;
  const method = [...ProductService.methods, ...InventoryService.methods].find((each) => {
    const rule = httpRuleOf(each);
    return rule?.verb === "post" && new RegExp(`^${rule.pattern.replaceAll(/:\w+/g, "[^/]+")}$`).test(path);
  });
  return rpcScope(method!);
}

interface Reserving {
  checkoutId?: string;
  seconds?: number;
}

/** What can be done with the stock of a running service. */
function inventoryOf(mall: () => Harness) {
  const warehouse = (idempotencyKey?: string) =>
    mall().client(InventoryService, { service: "mall", idempotencyKey });
  const checkout = () => mall().client(InventoryService, { service: "checkout" });
  const inSeconds = (seconds: number) =>
    timestampFromDate(new Date(mall().clock().getTime() + seconds * 1000));
  return {
    warehouse,
    keyed: () => warehouse(crypto.randomUUID()),
    checkout,
    inSeconds,
    async stockOf(variantId: string) {
      const { stock } = await warehouse().getStock({ variantId });
      return { onHand: stock!.onHand, reserved: stock!.reserved, available: stock!.available };
    },
    /** Reserves one unit of each variant, or as many as its pair says; gives the checkout. */
    async reserve(lines: (string | [string, number])[], over: Reserving = {}): Promise<string> {
      const checkoutId = over.checkoutId ?? mall().newId("chk");
      await checkout().reserveStock({
        checkoutId,
        lines: lines.map((line) => {
          const [variantId, quantity] = typeof line === "string" ? [line, 1] : line;
          return { variantId, quantity };
        }),
        expiresAt: over.seconds === undefined ? undefined : inSeconds(over.seconds),
      });
      return checkoutId;
    },
    holdOf: async (checkoutId: string): Promise<string | undefined> =>
      (await mall().db.sql`select state from product.holds where checkout_id = ${uuidOf(checkoutId)}`)[0]
        ?.state,
    /** Types of the events whose data holds this text. */
    eventsAbout: async (text: string): Promise<string[]> =>
      (
        await mall().db
          .sql`select type from product.outbox where data::text like ${`%${text}%`} order by created_at, sequence`
      ).map((row) => row.type.replace("mall.product.v1.", "")),
    /** Variants whose figures do not follow from ledger and holds: there must never be one. */
    unsoundStock: () => mall().db.sql`
      select s.* from product.stock s
      where s.on_hand <> (select coalesce(sum(delta), 0) from product.stock_movements m where m.variant_id = s.variant_id)
        or s.reserved <> (select coalesce(sum(l.quantity), 0) from product.hold_lines l
          join product.holds h on h.id = l.hold_id where l.variant_id = s.variant_id and h.state = 'active')`,
  };
}

/**
 * The product service for the tests of one file, with its statements counted; afterwards its stock must be sound and no
 * deadlock may have happened.
 */
export function productSuite() {
  let mall!: Harness;
  let commands!: ReturnType<typeof createProductCommands>;
  let count!: CountedDb;
  const inventory = inventoryOf(() => mall);
  beforeAll(async () => {
    mall = await harness("product", (resources) => {
      count = counted(resources.db);
      const own = { ...resources, db: count.db };
      commands = createProductCommands(own);
      return createProductService(own);
    });
  });
  afterAll(async () => {
    const unsound = await inventory.unsoundStock();
    const [load] = await mall.db.sql`
      select deadlocks::int from pg_stat_database where datname = current_database()`;
    await mall.stop();
    expect([...unsound]).toEqual([]);
    expect(load?.deadlocks).toBe(0);
  });
  return {
    ...catalogueOf(() => mall),
    ...inventory,
    mall: () => mall,
    commands: () => commands,
    /** Statements of the service while something runs; nothing else may run beside it. */
    async statementsOf(run: () => Promise<unknown>): Promise<number> {
      const before = count.statements();
      await run();
      return count.statements() - before;
    },
  };
}

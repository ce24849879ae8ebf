import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectError } from "@connectrpc/connect";
import { InventoryService } from "@mall/gen/mall/product/v1/inventory_pb";
import { type Product, ProductService } from "@mall/gen/mall/product/v1/product_pb";
import type { Db, Sql } from "@mall/kernel/db/client";
import { faultInfo } from "@mall/kernel/fault";
import { type Id, idOf, uuidOf } from "@mall/kernel/id";
import { type As, type Harness, harness } from "@mall/kernel/testing/harness";
import { createProductCommands, createProductService } from "./service";

let statements = 0;

const counting: ProxyHandler<Sql> = {
  get: (target, name) => {
    if (name === "unsafe") statements++;
    return Reflect.get(target, name) as unknown;
  },
};

/** The service's own database, with its statements counted, those in transactions too. */
function counted(db: Db): Db {
  return {
    get sql() {
      return new Proxy(db.sql, counting);
    },
    get orm() {
      return db.orm;
    },
    tx: (run) =>
      db.tx((tx) =>
        run({
          sql: new Proxy(tx.sql, counting),
          get orm() {
            return tx.orm;
          },
          inTransaction: true,
        }),
      ),
    close: () => db.close(),
  };
}

/** Statements of the service while something runs; nothing else may run beside it. */
async function statementsOf(run: () => Promise<unknown>): Promise<number> {
  const before = statements;
  await run();
  return statements - before;
}

let mall: Harness;
let commands: ReturnType<typeof createProductCommands>;

beforeAll(async () => {
  mall = await harness("product", (resources) => {
    const own = { ...resources, db: counted(resources.db) };
    commands = createProductCommands(own);
    return createProductService(own);
  });
});

const shop = (as: As = {}) => mall.client(ProductService, as);
const warehouse = (idempotencyKey?: string) =>
  mall.client(InventoryService, { service: "mall", idempotencyKey });
const keyed = () => warehouse(crypto.randomUUID());
const checkout = () => mall.client(InventoryService, { service: "checkout" });

async function refusal(promise: Promise<unknown>) {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e as ConnectError,
  );
  return { code: error && Code[error.code], reason: faultInfo(error)?.reason };
}

const columns = [
  ...["Handle", "Title", "Body (HTML)", "Vendor", "Type", "Tags", "Published", "Option1 Name"],
  ...["Option1 Value", "Variant SKU", "Variant Inventory Tracker", "Variant Inventory Qty"],
  ...["Variant Price", "Variant Compare At Price", "Image Src"],
];
type Row = Record<string, string>;

const csvOf = (rows: readonly Row[]): string =>
  [columns, ...rows.map((row) => columns.map((column) => row[column] ?? ""))]
    .map((cells) => cells.map((cell) => `"${cell}"`).join(","))
    .join("\n");

const importRows = (rows: readonly Row[], setStock = false) =>
  shop({ service: "mall" }).importProducts({ csv: csvOf(rows), setStock });

let made = 0;
const newHandle = () => `thing-${++made}`;

interface Size {
  /** Units on hand; undefined: not tracked. */
  units?: number;
  price?: string;
}

/** Rows of one product with a variant a size; SKUs are `<handle>-<number from 0>`. */
function rowsOf(handle: string, sizes: readonly Size[], over: Row = {}): Row[] {
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

async function productIdOf(handle: string): Promise<Id<"prod">> {
  const [row] = await mall.db.sql`select id from product.products where handle = ${handle}`;
  return idOf("prod", row!.id);
}

async function variantIdOf(sku: string): Promise<Id<"var">> {
  const [row] = await mall.db.sql`select id from product.variants where sku = ${sku}`;
  return idOf("var", row!.id);
}

const read = async (handle: string): Promise<Product> =>
  (await shop().getProduct({ productId: await productIdOf(handle) })).product!;

/** Puts a new product on sale with a variant a number; `undefined` is one whose stock is not tracked. */
async function sell(...units: (number | undefined)[]): Promise<{ handle: string; ids: string[] }> {
  const handle = newHandle();
  await importRows(
    rowsOf(
      handle,
      units.map((count) => ({ units: count })),
    ),
  );
  return { handle, ids: (await read(handle)).variants.map((variant) => variant.id) };
}

const stockOf = async (variantId: string) => {
  const { stock } = await warehouse().getStock({ variantId });
  return { onHand: stock!.onHand, reserved: stock!.reserved, available: stock!.available };
};

const inSeconds = (seconds: number) => timestampFromDate(new Date(mall.clock().getTime() + seconds * 1000));

interface Reserving {
  checkoutId?: string;
  seconds?: number;
}

/** Reserves one unit of each variant, or as many as its pair says; gives the checkout. */
async function reserve(lines: (string | [string, number])[], over: Reserving = {}): Promise<string> {
  const checkoutId = over.checkoutId ?? mall.newId("chk");
  await checkout().reserveStock({
    checkoutId,
    lines: lines.map((line) => {
      const [variantId, quantity] = typeof line === "string" ? [line, 1] : line;
      return { variantId, quantity };
    }),
    expiresAt: over.seconds === undefined ? undefined : inSeconds(over.seconds),
  });
  return checkoutId;
}

const holdOf = async (checkoutId: string): Promise<string | undefined> =>
  (await mall.db.sql`select state from product.holds where checkout_id = ${uuidOf(checkoutId)}`)[0]?.state;

const eventsAbout = async (text: string): Promise<string[]> =>
  (
    await mall.db
      .sql`select type from product.outbox where data::text like ${`%${text}%`} order by created_at, sequence`
  ).map((row) => row.type.replace("mall.product.v1.", ""));

/** Variants whose figures do not follow from ledger and holds: there must never be one. */
const unsoundStock = () => mall.db.sql`
  select s.* from product.stock s
  where s.on_hand <> (select coalesce(sum(delta), 0) from product.stock_movements m where m.variant_id = s.variant_id)
    or s.reserved <> (select coalesce(sum(l.quantity), 0) from product.hold_lines l
      join product.holds h on h.id = l.hold_id where l.variant_id = s.variant_id and h.state = 'active')`;

afterAll(async () => {
  const unsound = await unsoundStock();
  const [load] = await mall.db.sql`
    select deadlocks::int from pg_stat_database where datname = current_database()`;
  await mall.stop();
  expect([...unsound]).toEqual([]);
  expect(load?.deadlocks).toBe(0);
});

async function post(
  path: string,
  body: string,
): Promise<{ status: number; problem: Record<string, unknown> }> {
  const headers = await mall.headers({ service: "mall" });
  headers.set("content-type", "application/json");
  const response = await mall.app.fetch(
    new Request(`http://product${path}`, { method: "POST", headers, body }),
  );
  return { status: response.status, problem: (await response.json()) as Record<string, unknown> };
}

describe("a product", () => {
  test("is shown with variants, categories, pictures and what is available", async () => {
    const handle = newHandle();
    await importRows([
      ...rowsOf(handle, [{ units: 3, price: "12.50" }, { price: "9.99" }], {
        "Body (HTML)": "<p>Warm.</p>",
        Vendor: "Mill",
        Tags: "Winter Wear, Gifts",
        "Variant Compare At Price": "15.00",
        "Image Src": "https://example.com/a.jpg",
      }),
      { Handle: handle, "Image Src": "https://example.com/b.jpg" },
    ]);
    const product = await read(handle);
    expect(product).toMatchObject({
      handle,
      title: handle,
      description: "Warm.",
      vendor: "Mill",
      version: 1,
    });
    expect(product.categories.map(({ slug, title }) => [slug, title])).toEqual([
      ["winter-wear", "Winter Wear"],
      ["gifts", "Gifts"],
    ]);
    expect(product.media.map(({ url }) => url)).toEqual([
      "https://example.com/a.jpg",
      "https://example.com/b.jpg",
    ]);
    expect(product.variants).toMatchObject([
      {
        ...{ sku: `${handle}-0`, title: "S0", trackInventory: true, available: 3 },
        ...{ price: { currency: "USD", minor: 1250n }, compareAtPrice: { currency: "USD", minor: 1500n } },
        options: [{ name: "Size", value: "S0" }],
      },
      { sku: `${handle}-1`, price: { currency: "USD", minor: 999n }, trackInventory: false },
    ]);
    expect(product.variants[1]!.available).toBeUndefined();
    expect(product.variants[1]!.compareAtPrice).toBeUndefined();
  });

  test("that is a draft is neither listed nor read nor sold", async () => {
    const handle = newHandle();
    await importRows(rowsOf(handle, [{ units: 5 }], { Published: "false" }));
    const variantId = await variantIdOf(`${handle}-0`);
    expect(await refusal(read(handle))).toEqual({ code: "NotFound", reason: "PRODUCT_NOT_FOUND" });
    expect((await shop().listProducts({ q: handle })).products.map((p) => p.handle)).not.toContain(handle);
    expect((await shop({ service: "cart" }).batchGetVariants({ variantIds: [variantId] })).variants).toEqual(
      [],
    );
    expect(await refusal(reserve([variantId]))).toEqual({ code: "NotFound", reason: "VARIANT_NOT_FOUND" });
  });

  test("that is unknown is PRODUCT_NOT_FOUND", async () => {
    const unknown = shop().getProduct({ productId: mall.newId("prod") });
    expect(await refusal(unknown)).toEqual({ code: "NotFound", reason: "PRODUCT_NOT_FOUND" });
  });

  test("shows available less what checkouts hold", async () => {
    const { handle, ids } = await sell(5);
    await reserve([[ids[0]!, 2]]);
    expect((await read(handle)).variants[0]!.available).toBe(3);
  });

  test("is given to carts by its variants, without those nobody sells", async () => {
    const { ids, handle } = await sell(5, undefined);
    const { variants } = await shop({ service: "cart" }).batchGetVariants({
      variantIds: [...ids, mall.newId("var")],
    });
    expect(variants.map((sold) => sold.variant!.id).sort()).toEqual([...ids].sort());
    expect(variants[0]).toMatchObject({ productId: await productIdOf(handle), productTitle: handle });
  });
});

describe("a list of products", () => {
  const word = "pagetest";
  const titles = ["Émile", "anchor", "Anchor", "zebra", "Bolt", "bolt"];

  beforeAll(async () => {
    for (const [index, title] of titles.entries()) {
      const price = ["3.00", "1.00", "3.00", "2.00", "3.00", "2.00"][index]!;
      await importRows(
        rowsOf(
          newHandle(),
          [
            { units: 1, price: "9.00" },
            { units: 1, price },
          ],
          { Title: title, Vendor: word },
        ),
      );
      mall.clock.advance(1);
    }
  });

  async function pagesOf(
    query: { sort?: string; q?: string; category?: string },
    pageSize: number,
  ): Promise<Product[]> {
    const seen: Product[] = [];
    for (let pageToken = ""; ; ) {
      const page = await shop().listProducts({ ...query, pageSize, pageToken });
      expect(page.products.length).toBeLessThanOrEqual(pageSize);
      seen.push(...page.products);
      pageToken = page.nextPageToken;
      if (pageToken === "") return seen;
    }
  }
  const lowest = (product: Product) => product.variants.map((v) => v.price!.minor).sort()[0]!;

  test.each(["", "newest", "price", "-price", "title"])(
    "sorted by '%s' is paged without a gap or a repetition",
    async (sort) => {
      const [whole, paged] = [await pagesOf({ sort, q: word }, 100), await pagesOf({ sort, q: word }, 2)];
      expect(paged.map((p) => p.id)).toEqual(whole.map((p) => p.id));
      expect(new Set(paged.map((p) => p.id)).size).toBe(titles.length);
    },
  );

  test("comes in the order that was asked for", async () => {
    const inOrder = async (sort: string) => (await pagesOf({ sort, q: word }, 3)).map((p) => p.title);
    expect(await inOrder("newest")).toEqual([...titles].reverse());
    const prices = (await pagesOf({ sort: "price", q: word }, 3)).map(lowest);
    expect(prices).toEqual([100n, 200n, 200n, 300n, 300n, 300n]);
    const falling = (await pagesOf({ sort: "-price", q: word }, 3)).map(lowest);
    expect(falling).toEqual([...prices].reverse());
    const lower = (await inOrder("title")).map((title) => title.toLowerCase());
    expect(lower.filter((title) => title !== "émile")).toEqual(["anchor", "anchor", "bolt", "bolt", "zebra"]);
  });

  test("goes on where the page ended although a product was added before it", async () => {
    const first = await shop().listProducts({ q: word, pageSize: 3 });
    const handle = newHandle();
    await importRows(rowsOf(handle, [{ units: 1 }], { Vendor: word }));
    const second = await shop().listProducts({ q: word, pageSize: 100, pageToken: first.nextPageToken });
    expect([...first.products, ...second.products].map((p) => p.title)).toEqual([...titles].reverse());
    await importRows(rowsOf(handle, [{ units: 1 }]));
  });

  test("finds all words in title, vendor or description, in any case", async () => {
    const handle = newHandle();
    const over = { Title: "Blue Übermug", Vendor: "Kilnworks", "Body (HTML)": "<p>Holds tea.</p>" };
    await importRows(rowsOf(handle, [{ units: 1 }], over));
    const found = async (q: string) => (await pagesOf({ q }, 100)).some((p) => p.handle === handle);
    expect(await found("ÜBERMUG")).toBe(true);
    expect(await found("  tea   kilnWORKS blue ")).toBe(true);
    expect(await found("tea coffee")).toBe(false);
  });

  test("takes % _ and \\ as themselves", async () => {
    const handle = newHandle();
    await importRows(rowsOf(handle, [{ units: 1 }], { Title: "100%_wool \\ raw" }));
    for (const q of ["100%_wool", "\\", "%_"]) {
      expect((await pagesOf({ q }, 100)).map((p) => p.handle)).toEqual([handle]);
    }
  });

  test("is filtered by the slug of a category", async () => {
    const category = { Type: `Rare Category ${++made}` };
    const [a, b] = [newHandle(), newHandle()];
    await importRows([...rowsOf(a, [{ units: 1 }], category), ...rowsOf(b, [{ units: 1 }], category)]);
    const slug = (await read(a)).categories[0]!.slug;
    const found = await pagesOf({ category: slug, sort: "title" }, 1);
    expect(found.map((p) => p.handle)).toEqual([a, b].sort());
    expect(await pagesOf({ category: slug, q: "nothing like it" }, 10)).toEqual([]);
    expect(await pagesOf({ category: "no-such-category" }, 10)).toEqual([]);
  });

  test("gives out only page tokens that it takes back, for titles in any script", async () => {
    const vendor = `Long${++made}`;
    for (let i = 0; i < 3; i++) {
      await importRows(rowsOf(newHandle(), [{ units: 1 }], { Title: "茶".repeat(254) + i, Vendor: vendor }));
    }
    const found = await pagesOf({ sort: "title", q: vendor }, 1);
    expect(found.map((p) => p.title.slice(-1))).toEqual(["0", "1", "2"]);
  });

  test("refuses a page token of another query", async () => {
    const { nextPageToken: pageToken } = await shop().listProducts({ q: word, pageSize: 1 });
    for (const other of [{ q: "other" }, { q: word, sort: "price" }, { q: word, category: "x" }]) {
      expect((await refusal(shop().listProducts({ ...other, pageToken }))).reason).toBe("VALIDATION");
    }
    expect(
      (await shop().listProducts({ q: word, sort: "newest", pageSize: 5, pageToken })).products,
    ).toHaveLength(5);
  });

  test("refuses a page token that was tampered with", async () => {
    const forge = async (sort: string, change: (position: string) => string) => {
      const { nextPageToken } = await shop().listProducts({ sort, pageSize: 1 });
      const text = Buffer.from(nextPageToken, "base64url").toString();
      return Buffer.from(text.slice(0, 12) + change(text.slice(12))).toString("base64url");
    };
    const cases: [string, (position: string) => string][] = [
      ["price", (position) => `${position.slice(0, 31)}x`],
      ["price", (position) => `${position.slice(0, 31)}${"9".repeat(30)}`],
      ["newest", () => "nonsense"],
      ["newest", (position) => position.replace(/^prod_./, "prod_z")],
      ["title", (position) => `${position.slice(0, 31)}a\0b`],
    ];
    for (const [sort, change] of cases) {
      const pageToken = await forge(sort, change);
      expect(await refusal(shop().listProducts({ sort, pageToken }))).toEqual({
        code: "InvalidArgument",
        reason: "VALIDATION",
      });
    }
    expect((await refusal(shop().listProducts({ pageToken: "%%%" }))).reason).toBe("VALIDATION");
  });

  test("takes as many statements for fifty products as for one", async () => {
    const rows = Array.from({ length: 50 }, () =>
      rowsOf(newHandle(), [{ units: 1 }, {}], { Vendor: "Fifty" }),
    ).flat();
    await importRows(rows);
    const count = (pageSize: number) => statementsOf(() => shop().listProducts({ q: "fifty", pageSize }));
    expect([await count(1), await count(50)]).toEqual([1, 1]);
    const { products } = await shop().listProducts({ q: "fifty", pageSize: 50 });
    const variantIds = products.flatMap((p) => p.variants.map((v) => v.id));
    expect(variantIds).toHaveLength(100);
    expect(await statementsOf(() => shop({ service: "cart" }).batchGetVariants({ variantIds }))).toBe(1);
  });

  test("refuses text that is not Unicode", async () => {
    const { status } = await post("/mall.product.v1.ProductService/ListProducts", '{"q": "\\ud800"}');
    expect(status).toBe(400);
  });
});

describe("an import", () => {
  test("reports what it did and every broken row, and keeps the rest", async () => {
    const [good, bad] = [newHandle(), newHandle()];
    const report = await importRows([
      ...rowsOf(good, [{ units: 1 }, { units: 1, price: "cheap" }]),
      ...rowsOf(bad, [{ units: 1, price: "" }]),
    ]);
    expect(report).toMatchObject({ created: 1, updated: 0, variants: 1, rows: 3 });
    expect(report.problems.map(({ line, handle, reason }) => [line, handle, reason])).toEqual([
      [3, good, "PRICE_INVALID"],
      [4, bad, "PRICE_MISSING"],
    ]);
    expect((await read(good)).variants).toHaveLength(1);
  });

  test("refuses a file that is no CSV whole", async () => {
    const before = (await mall.db.sql`select count(*)::int as n from product.products`)[0]!.n;
    for (const csv of ["<html></html>", "name,amount\nx,1", "\n\n"]) {
      const asked = shop({ service: "mall" }).importProducts({ csv });
      expect(await refusal(asked)).toEqual({ code: "InvalidArgument", reason: "NOT_A_CATALOGUE" });
    }
    const { status, problem } = await post("/v1/products/import", JSON.stringify({ csv: "<html>" }));
    expect(status).toBe(400);
    expect(problem).toMatchObject({ reason: "NOT_A_CATALOGUE", errors: [{ pointer: "#/csv" }] });
    expect((await mall.db.sql`select count(*)::int as n from product.products`)[0]!.n).toBe(before);
  });

  test("is for staff and the command line only", async () => {
    const csv = csvOf(rowsOf(newHandle(), [{ units: 1 }]));
    const by = (as: As) => refusal(shop(as).importProducts({ csv }));
    expect((await by({})).code).toBe("Unauthenticated");
    expect((await by({ user: { id: mall.newId("usr") } })).code).toBe("PermissionDenied");
    expect((await by({ user: { id: mall.newId("usr"), roles: ["staff"] } })).code).toBeUndefined();
  });

  test("that comes again updates by handle and SKU, and leaves stock alone", async () => {
    const { handle, ids } = await sell(7, 2);
    await reserve([[ids[0]!, 3]]);
    mall.clock.advance(60);
    const sizes = [
      { units: 100, price: "11.00" },
      { units: 100, price: "12.00" },
    ];
    const report = await importRows(rowsOf(handle, sizes, { Title: "New title" }));
    expect(report).toMatchObject({ created: 0, updated: 1, variants: 2, problems: [] });
    const product = await read(handle);
    expect(product).toMatchObject({ title: "New title", version: 2 });
    expect(product.variants.map((v) => [v.id, v.price!.minor, v.available] as const)).toEqual([
      [ids[0]!, 1100n, 4],
      [ids[1]!, 1200n, 2],
    ]);
    expect(product.updatedAt!.seconds - product.createdAt!.seconds).toBe(60n);
  });

  test("that changes nothing is no change: same version, no event", async () => {
    const handle = newHandle();
    const over = {
      Tags: "B, A",
      "Image Src": "https://example.com/a.jpg",
      "Variant Compare At Price": "20.00",
    };
    const rows = rowsOf(handle, [{ units: 1 }, {}], over);
    await importRows(rows);
    const before = await read(handle);
    mall.clock.advance(60);
    expect(await importRows(rows)).toMatchObject({ created: 0, updated: 1 });
    expect(await read(handle)).toEqual(before);
    expect(await eventsAbout(before.id)).toEqual(["ProductChanged"]);
    const changes: Row[] = [{ Tags: "A, B" }, { Vendor: "Other" }, { "Variant Compare At Price": "21.00" }];
    for (const change of changes) {
      const { version } = await read(handle);
      await importRows(rowsOf(handle, [{ units: 1 }, {}], { ...over, ...change }));
      expect((await read(handle)).version).toBe(version + 1);
    }
    expect(await eventsAbout(before.id)).toHaveLength(4);
  });

  test("with setStock sets the units on hand, but never below what is reserved", async () => {
    const { handle, ids } = await sell(10, 10, 10);
    await reserve([[ids[1]!, 6]]);
    const sizes = [{ units: 25 }, { units: 2 }, { units: 10 }];
    await importRows(rowsOf(handle, sizes), true);
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 25, reserved: 0, available: 25 });
    expect(await stockOf(ids[1]!)).toEqual({ onHand: 6, reserved: 6, available: 0 });
    const ledger = await mall.db.sql`select kind, delta from product.stock_movements
      where variant_id in ${mall.db.sql(ids.map(uuidOf))} and at = ${mall.clock().toISOString()} order by id`;
    expect(ledger.map(({ kind, delta }) => [kind, delta]).sort()).toEqual(
      [10, 10, 10, 15, -4].map((delta) => ["import", delta]).sort(),
    );
  });

  test("takes the units of a variant that was not tracked before", async () => {
    const { handle, ids } = await sell(undefined, 4);
    await importRows(rowsOf(handle, [{ units: 8 }, {}]));
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 8, reserved: 0, available: 8 });
    expect((await read(handle)).variants.map((v) => v.available)).toEqual([8, undefined]);
  });

  test("withdraws variants the file no longer has, and brings them back as they were", async () => {
    const { handle, ids } = await sell(4, 4);
    const [kept] = rowsOf(handle, [{ units: 4 }]);
    await importRows([kept!]);
    expect((await read(handle)).variants.map((v) => v.id)).toEqual([ids[0]!]);
    expect((await shop({ service: "cart" }).batchGetVariants({ variantIds: ids })).variants).toHaveLength(1);
    expect((await refusal(reserve([ids[1]!]))).reason).toBe("VARIANT_NOT_FOUND");
    await importRows(rowsOf(handle, [{ units: 1 }, { units: 1 }]));
    expect((await read(handle)).variants.map((v) => [v.id, v.available])).toEqual(ids.map((id) => [id, 4]));
  });

  test("keeps a hold on a variant that is withdrawn meanwhile", async () => {
    const { handle, ids } = await sell(4, 4);
    const checkoutId = await reserve([ids[1]!]);
    await importRows(rowsOf(handle, [{ units: 4 }]));
    await reserve([ids[1]!], { checkoutId });
    await checkout().claimStock({ checkoutId });
    expect(await stockOf(ids[1]!)).toEqual({ onHand: 3, reserved: 0, available: 3 });
  });

  test("leaves a SKU with the product that has it", async () => {
    const { handle: owner, ids } = await sell(1);
    const handle = newHandle();
    const [taken, free] = rowsOf(handle, [{ units: 5 }, { units: 5 }]);
    const report = await importRows([{ ...taken!, "Variant SKU": `${owner}-0` }, free!]);
    expect(report).toMatchObject({ created: 1, variants: 1 });
    expect(report.problems.map(({ line, reason }) => [line, reason])).toEqual([[2, "SKU_TAKEN"]]);
    expect((await read(handle)).variants.map((v) => v.sku)).toEqual([`${handle}-1`]);
    expect((await read(owner)).variants.map((v) => v.id)).toEqual(ids);
  });

  test("announces each product that changed", async () => {
    const { handle } = await sell(1);
    await importRows(rowsOf(handle, [{ units: 1, price: "1.00" }]));
    const events = await mall.db.sql`select type, sequence, data from product.outbox
      where subject = ${await productIdOf(handle)} order by sequence`;
    expect(events.map(({ sequence, data }) => [sequence, data.version])).toEqual([
      [1, 1],
      [2, 2],
    ]);
  });

  test("takes as many statements for a hundred products as for one", async () => {
    const many = Array.from({ length: 100 }, () =>
      rowsOf(newHandle(), [{ units: 1 }, {}], { Type: "Many" }),
    ).flat();
    const one = rowsOf(newHandle(), [{ units: 1 }], { Type: "Many" });
    const few = await statementsOf(() => importRows(one));
    expect(await statementsOf(() => importRows(many))).toBe(few);
  });

  test("of more products than one batch takes brings them all", async () => {
    const handles = Array.from({ length: 450 }, newHandle);
    const rows = handles.flatMap((handle) => rowsOf(handle, [{ units: 1 }]));
    expect(await importRows(rows)).toMatchObject({
      created: 450,
      updated: 0,
      variants: 450,
      rows: 450,
      problems: [],
    });
    expect(await importRows(rows)).toMatchObject({ created: 0, updated: 450 });
  });

  test("of one file twice at the same time makes each product once", async () => {
    const handles = Array.from({ length: 20 }, newHandle);
    const rows = handles.flatMap((handle) => rowsOf(handle, [{ units: 3 }, { units: 3 }]));
    const reports = await Promise.all([importRows(rows), importRows(rows.toReversed()), importRows(rows)]);
    expect(reports.map((report) => report.created).sort()).toEqual([0, 0, 20]);
    const found = await mall.db.sql`select v.id, s.on_hand from product.variants v
      join product.stock s on s.variant_id = v.id join product.products p on p.id = v.product_id
      where p.handle in ${mall.db.sql(handles)}`;
    expect(found.map((row) => row.on_hand)).toEqual(Array(40).fill(3));
  });
});

describe("stock", () => {
  test("is received and adjusted, with the ledger kept", async () => {
    const { ids } = await sell(5);
    const variantId = ids[0]!;
    const received = await keyed().receiveStock({ variantId, quantity: 7, note: "delivery" });
    expect(received.stock).toMatchObject({ variantId, onHand: 12, reserved: 0, available: 12, version: 2 });
    const adjusted = await keyed().adjustStock({ variantId, delta: -2, note: "broken" });
    expect(adjusted.stock).toMatchObject({ onHand: 10, version: 3 });
    const ledger = await mall.db.sql`select kind, delta, note from product.stock_movements
      where variant_id = ${uuidOf(variantId)} order by id`;
    expect(ledger.map(({ kind, delta, note }) => [kind, delta, note]).sort()).toEqual([
      ["adjust", -2, "broken"],
      ["import", 5, ""],
      ["receive", 7, "delivery"],
    ]);
  });

  test("changes once for a key, also when it is sent twenty times at once", async () => {
    const { ids } = await sell(5);
    const client = keyed();
    const asked = { variantId: ids[0]!, quantity: 10 };
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.receiveStock(asked)));
    expect(new Set(answers.map((answer) => answer.stock!.onHand))).toEqual(new Set([15]));
    expect((await stockOf(ids[0]!)).onHand).toBe(15);
    expect((await refusal(client.receiveStock({ ...asked, quantity: 11 }))).reason).toBe(
      "IDEMPOTENCY_KEY_REUSED",
    );
    expect((await refusal(warehouse().receiveStock(asked))).reason).toBe("IDEMPOTENCY_KEY_REQUIRED");
  });

  test("is not taken from those who hold it", async () => {
    const { ids } = await sell(5);
    const [variantId] = ids as [string];
    await reserve([[variantId, 4]]);
    const client = keyed();
    const short = { code: "FailedPrecondition", reason: "OUT_OF_STOCK" };
    expect(await refusal(client.adjustStock({ variantId, delta: -2 }))).toEqual(short);
    await keyed().receiveStock({ variantId, quantity: 5 });
    expect(await refusal(client.adjustStock({ variantId, delta: -2 }))).toEqual(short);
    expect(await stockOf(variantId)).toEqual({ onHand: 10, reserved: 4, available: 6 });
  });

  test("changes only from the version the caller has seen", async () => {
    const { ids } = await sell(5);
    const [variantId] = ids as [string];
    const asked = { variantId, delta: 1, expectedVersion: 1 };
    expect((await keyed().adjustStock(asked)).stock!.version).toBe(2);
    expect(await refusal(keyed().adjustStock(asked))).toEqual({
      code: "Aborted",
      reason: "VERSION_MISMATCH",
    });
    const race = await Promise.allSettled(
      Array.from({ length: 10 }, () => keyed().adjustStock({ ...asked, expectedVersion: 2 })),
    );
    expect(race.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect((await stockOf(variantId)).onHand).toBe(7);
  });

  test("is not counted for a variant that is not tracked, and not known for an unknown one", async () => {
    const { ids } = await sell(undefined);
    const untracked = keyed().adjustStock({ variantId: ids[0]!, delta: 1 });
    expect(await refusal(untracked)).toEqual({ code: "FailedPrecondition", reason: "VARIANT_NOT_TRACKED" });
    const variantId = mall.newId("var");
    const missing = { code: "NotFound", reason: "VARIANT_NOT_FOUND" };
    expect(await refusal(keyed().adjustStock({ variantId, delta: 1 }))).toEqual(missing);
    expect(await refusal(keyed().receiveStock({ variantId, quantity: 1 }))).toEqual(missing);
    expect(await refusal(warehouse().getStock({ variantId }))).toEqual(missing);
  });

  test("has a limit", async () => {
    const { ids } = await sell(1_000_000);
    await mall.db.sql`insert into product.stock_movements (id, variant_id, kind, delta, at)
      values (gen_random_uuid(), ${uuidOf(ids[0]!)}, 'receive', 1998500000, now())`;
    await mall.db
      .sql`update product.stock set on_hand = on_hand + 1998500000 where variant_id = ${uuidOf(ids[0]!)}`;
    const asked = keyed().receiveStock({ variantId: ids[0]!, quantity: 1_000_000 });
    expect(await refusal(asked)).toEqual({ code: "OutOfRange", reason: "STOCK_LIMIT" });
  });

  test("is for staff only", async () => {
    const { ids } = await sell(1);
    const asked = { variantId: ids[0]!, delta: 1 };
    const by = (as: As) =>
      refusal(
        mall.client(InventoryService, { ...as, idempotencyKey: crypto.randomUUID() }).adjustStock(asked),
      );
    expect((await by({})).code).toBe("Unauthenticated");
    expect((await by({ user: { id: mall.newId("usr") } })).code).toBe("PermissionDenied");
    expect((await by({ user: { id: mall.newId("usr"), roles: ["staff"] } })).code).toBeUndefined();
    expect((await stockOf(ids[0]!)).onHand).toBe(2);
  });

  test("is set by SKU from the command line, never below what is reserved", async () => {
    const { handle, ids } = await sell(5);
    await reserve([[ids[0]!, 2]]);
    expect(await commands.setStock(`${handle}-0`, 3)).toMatchObject({ onHand: 3, reserved: 2 });
    expect(await commands.setStock(`${handle}-0`, 3)).toMatchObject({ onHand: 3, version: 2 });
    expect((await refusal(commands.setStock(`${handle}-0`, 1))).reason).toBe("OUT_OF_STOCK");
    expect((await refusal(commands.setStock("no-such-sku", 1))).reason).toBe("VARIANT_NOT_FOUND");
    const { handle: untracked } = await sell(undefined);
    expect((await refusal(commands.setStock(`${untracked}-0`, 1))).reason).toBe("VARIANT_NOT_TRACKED");
  });

  test("has a ledger that the service itself cannot rewrite", async () => {
    const denied = { code: "42501" };
    expect(mall.db.sql`update product.stock_movements set delta = 0`).rejects.toMatchObject(denied);
    expect(mall.db.sql`delete from product.stock_movements`).rejects.toMatchObject(denied);
  });
});

describe("a reservation", () => {
  test("holds all lines or none, and names the first that is short", async () => {
    const { ids } = await sell(5, 1, 1);
    const error = await reserve([
      [ids[0]!, 2],
      [ids[2]!, 2],
      [ids[1]!, 2],
    ]).catch((e: unknown) => e);
    expect(faultInfo(error)).toMatchObject({ reason: "OUT_OF_STOCK", metadata: { variantId: ids[2]! } });
    for (const id of ids) expect((await stockOf(id)).reserved).toBe(0);
    await reserve([[ids[0]!, 5], ids[1]!, ids[2]!]);
    for (const id of ids) expect((await stockOf(id)).available).toBe(0);
  });

  test("of variants that are not tracked always succeeds and takes nothing", async () => {
    const { ids } = await sell(undefined);
    const checkoutId = await reserve([[ids[0]!, 999]]);
    await reserve([[ids[0]!, 999]]);
    await checkout().claimStock({ checkoutId });
    expect(await holdOf(checkoutId)).toBe("claimed");
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 0, reserved: 0, available: 0 });
  });

  test("of an unknown variant is refused whole", async () => {
    const { ids } = await sell(5);
    expect(await refusal(reserve([ids[0]!, mall.newId("var")]))).toEqual({
      code: "NotFound",
      reason: "VARIANT_NOT_FOUND",
    });
    expect((await stockOf(ids[0]!)).reserved).toBe(0);
  });

  test("with a variant in two lines is refused with its pointer", async () => {
    const { ids } = await sell(5);
    const error = await reserve([ids[0]!, ids[0]!]).catch((e: unknown) => e);
    expect(faultInfo(error)).toMatchObject({
      reason: "VALIDATION",
      violations: [{ pointer: "#/lines/1/variantId" }],
    });
  });

  test("that is repeated is the same hold, as long as it holds", async () => {
    const { ids } = await sell(5);
    const checkoutId = mall.newId("chk");
    const asked = { checkoutId, lines: [{ variantId: ids[0]!, quantity: 2 }], expiresAt: inSeconds(60) };
    const first = await checkout().reserveStock(asked);
    expect(await checkout().reserveStock(asked)).toEqual(first);
    expect((await stockOf(ids[0]!)).reserved).toBe(2);
    mall.clock.advance(60);
    expect(await refusal(checkout().reserveStock(asked))).toEqual({
      code: "FailedPrecondition",
      reason: "HOLD_EXPIRED",
    });
    expect((await stockOf(ids[0]!)).reserved).toBe(0);
  });

  test("takes as many statements for thirty lines as for one", async () => {
    const { ids } = await sell(...Array<number>(30).fill(9));
    const count = (lines: string[]) => statementsOf(() => reserve(lines));
    expect([await count(ids.slice(0, 1)), await count(ids)]).toEqual([4, 4]);
  });

  test("is announced when it begins, and when its units come back", async () => {
    const { ids } = await sell(5);
    const [released, expired, claimed] = [
      await reserve([ids[0]!]),
      await reserve([ids[0]!], { seconds: 10 }),
      await reserve([ids[0]!]),
    ];
    await checkout().releaseStock({ checkoutId: released });
    await checkout().releaseStock({ checkoutId: released });
    await checkout().claimStock({ checkoutId: claimed });
    mall.clock.advance(10);
    await reserve([ids[0]!]);
    expect(await eventsAbout(released)).toEqual(["StockReserved", "StockReleased"]);
    expect(await eventsAbout(expired)).toEqual(["StockReserved", "StockReleased"]);
    expect(await eventsAbout(claimed)).toEqual(["StockReserved"]);
  });

  test("is for checkout only", async () => {
    const { ids } = await sell(1);
    const asked = { checkoutId: mall.newId("chk"), lines: [{ variantId: ids[0]!, quantity: 1 }] };
    for (const as of [
      {},
      { user: { id: mall.newId("usr"), roles: ["admin"] } },
      { service: "cart" as const },
    ]) {
      expect((await refusal(mall.client(InventoryService, as).reserveStock(asked))).code).toBe(
        "PermissionDenied",
      );
    }
  });
});

describe("a hold", () => {
  test("stops counting the moment it is due, before any sweep", async () => {
    const { ids } = await sell(1);
    const first = await reserve([ids[0]!], { seconds: 30 });
    mall.clock.advance(29);
    expect((await refusal(reserve([ids[0]!]))).reason).toBe("OUT_OF_STOCK");
    mall.clock.advance(1);
    expect((await stockOf(ids[0]!)).available).toBe(1);
    expect(await refusal(checkout().claimStock({ checkoutId: first }))).toEqual({
      code: "FailedPrecondition",
      reason: "HOLD_EXPIRED",
    });
    await reserve([ids[0]!]);
    expect(await holdOf(first)).toBe("expired");
    expect((await refusal(checkout().claimStock({ checkoutId: first }))).reason).toBe("HOLD_EXPIRED");
  });

  test("gives back the units of all its variants when one of them is wanted", async () => {
    const { ids } = await sell(1, 1, 1);
    await reserve(ids, { seconds: 30 });
    mall.clock.advance(30);
    await reserve([ids[1]!]);
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 1, reserved: 0, available: 1 });
    expect(await unsoundStock()).toHaveLength(0);
  });

  test("is sold once by its claim", async () => {
    const { ids } = await sell(5, 5);
    const checkoutId = await reserve([[ids[0]!, 2], ids[1]!], { seconds: 30 });
    await Promise.all(Array.from({ length: 10 }, () => checkout().claimStock({ checkoutId })));
    mall.clock.advance(3600);
    await checkout().claimStock({ checkoutId });
    await checkout().releaseStock({ checkoutId });
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 3, reserved: 0, available: 3 });
    const sales = await mall.db
      .sql`select delta from product.stock_movements where reference = ${checkoutId}`;
    expect(sales.map((row) => row.delta).sort()).toEqual([-1, -2]);
    expect(await holdOf(checkoutId)).toBe("claimed");
  });

  test("that is extended stays, and without an end stays for good", async () => {
    const { ids } = await sell(1);
    const checkoutId = await reserve([ids[0]!], { seconds: 30 });
    await checkout().extendStock({ checkoutId, expiresAt: inSeconds(90) });
    mall.clock.advance(60);
    expect((await stockOf(ids[0]!)).available).toBe(0);
    await checkout().extendStock({ checkoutId });
    mall.clock.advance(3600);
    await mall.app.sweep();
    expect((await stockOf(ids[0]!)).available).toBe(0);
    await checkout().extendStock({ checkoutId, expiresAt: inSeconds(1) });
    mall.clock.advance(1);
    expect((await refusal(checkout().extendStock({ checkoutId }))).reason).toBe("HOLD_EXPIRED");
  });

  test("that was released can neither be claimed nor extended, and there may be none", async () => {
    const { ids } = await sell(1);
    const checkoutId = await reserve([ids[0]!]);
    await checkout().releaseStock({ checkoutId });
    expect((await stockOf(ids[0]!)).available).toBe(1);
    expect((await refusal(checkout().claimStock({ checkoutId }))).reason).toBe("HOLD_EXPIRED");
    expect((await refusal(checkout().extendStock({ checkoutId }))).reason).toBe("HOLD_EXPIRED");
    const unknown = { checkoutId: mall.newId("chk") };
    expect((await refusal(checkout().claimStock(unknown))).reason).toBe("HOLD_NOT_FOUND");
    expect((await refusal(checkout().extendStock(unknown))).reason).toBe("HOLD_NOT_FOUND");
    await checkout().releaseStock(unknown);
  });

  test("that is due is ended by the sweep, a hundred and more of them in few statements", async () => {
    const { handle, ids } = await sell(200, undefined);
    const due = await Promise.all(
      Array.from({ length: 120 }, (_, i) => reserve([ids[i % 12 === 0 ? 1 : 0]!], { seconds: 5 })),
    );
    const kept = await reserve([ids[0]!], { seconds: 60 });
    mall.clock.advance(5);
    expect(await statementsOf(() => mall.app.sweep())).toBeLessThan(30);
    expect((await read(handle)).variants[0]!.available).toBe(199);
    expect(new Set(await Promise.all(due.map(holdOf)))).toEqual(new Set(["expired"]));
    expect(await holdOf(kept)).toBe("active");
    expect(await eventsAbout(due[0]!)).toEqual(["StockReserved", "StockReleased"]);
  });
});

describe("under contention", () => {
  test("the last unit is held by exactly one of fifty", async () => {
    const { ids } = await sell(1);
    const results = await Promise.all(Array.from({ length: 50 }, () => refusal(reserve([ids[0]!]))));
    expect(results.filter(({ reason }) => reason === undefined)).toHaveLength(1);
    expect(results.filter(({ reason }) => reason === "OUT_OF_STOCK")).toHaveLength(49);
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 1, reserved: 1, available: 0 });
  });

  test("the last unit of a hold that is due goes to exactly one of fifty", async () => {
    const { ids } = await sell(1);
    const first = await reserve([ids[0]!], { seconds: 1 });
    mall.clock.advance(1);
    const results = await Promise.all([
      ...Array.from({ length: 50 }, () => refusal(reserve([ids[0]!]))),
      ...Array.from({ length: 5 }, () => refusal(mall.app.sweep())),
      ...Array.from({ length: 5 }, () => refusal(checkout().claimStock({ checkoutId: first }))),
    ]);
    expect(results.filter(({ reason }) => reason === "OUT_OF_STOCK")).toHaveLength(49);
    expect(results.filter(({ reason }) => reason === "HOLD_EXPIRED")).toHaveLength(5);
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 1, reserved: 1, available: 0 });
  });

  test("one checkout that reserves many times at once has one hold", async () => {
    const { ids } = await sell(50, 50);
    const checkoutId = mall.newId("chk");
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        checkout().reserveStock({ checkoutId, lines: [{ variantId: ids[i % 2]!, quantity: 1 }] }),
      ),
    );
    expect(new Set(answers.map((answer) => answer.holdId)).size).toBe(1);
    const [a, b] = [await stockOf(ids[0]!), await stockOf(ids[1]!)];
    expect(a.reserved + b.reserved).toBe(1);
  });

  test("purchases with the same variants in different orders all end", async () => {
    const { ids } = await sell(...Array<number>(6).fill(25));
    const turned = (by: number) => [...ids.slice(by % 6), ...ids.slice(0, by % 6)];
    const results = await Promise.all(
      Array.from({ length: 40 }, (_, i) => refusal(reserve(i % 2 ? turned(i).reverse() : turned(i)))),
    );
    expect(results.filter(({ reason }) => reason === undefined)).toHaveLength(25);
    expect(results.filter(({ reason }) => reason === "OUT_OF_STOCK")).toHaveLength(15);
    for (const id of ids) expect((await stockOf(id)).available).toBe(0);
  });

  test("claim and release of one hold have one outcome", async () => {
    const { ids } = await sell(40);
    const holds = await Promise.all(Array.from({ length: 20 }, () => reserve([ids[0]!])));
    const claims = await Promise.all(
      holds.map(async (checkoutId) => {
        const [claim] = await Promise.all([
          refusal(checkout().claimStock({ checkoutId })),
          checkout().releaseStock({ checkoutId }),
        ]);
        return claim.reason;
      }),
    );
    const sold = claims.filter((reason) => reason === undefined).length;
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 40 - sold, reserved: 0, available: 40 - sold });
  });

  test("nothing is lost or made in a storm of everything at once", async () => {
    const { handle, ids } = await sell(20, 20, 20, 20);
    const act = async (i: number) => {
      const picked = ids.filter((_, n) => (i + n) % 3 !== 0);
      const checkoutId = await reserve(i % 2 ? picked : picked.reverse(), { seconds: i % 5 === 0 ? 1 : 60 });
      if (i % 7 === 0) mall.clock.advance(1);
      if (i % 3 === 0) await checkout().claimStock({ checkoutId });
      if (i % 3 === 1) await checkout().releaseStock({ checkoutId });
      if (i % 4 === 0) await keyed().adjustStock({ variantId: ids[i % 4]!, delta: i % 8 === 0 ? 3 : -1 });
      if (i % 10 === 0) await mall.app.sweep();
      if (i % 20 === 0)
        await importRows(
          rowsOf(
            handle,
            ids.map(() => ({ units: 15 })),
          ),
          true,
        );
    };
    const results = await Promise.all(Array.from({ length: 80 }, (_, i) => refusal(act(i))));
    const reasons = new Set(results.map(({ reason, code }) => reason ?? code));
    for (const reason of reasons) expect([undefined, "OUT_OF_STOCK", "HOLD_EXPIRED"]).toContain(reason);
    expect(await unsoundStock()).toHaveLength(0);
  });
});

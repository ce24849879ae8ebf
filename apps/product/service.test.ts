import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
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

/** What the command line gets for a POST over HTTP, Connect or REST. */
async function post(path: string, body: string, extra: Record<string, string> = {}) {
  const headers = await mall.headers({ service: "mall" });
  for (const [name, value] of Object.entries({ "content-type": "application/json", ...extra }))
    headers.set(name, value);
  const request = new Request(`http://product${path}`, { method: "POST", headers, body });
  const response = await mall.app.fetch(request);
  const text = await response.text();
  const json = JSON.parse(text) as Record<string, unknown>;
  return { status: response.status, headers: response.headers, text, json };
}

/** Numbers from 0 to 1 that are the same for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state / 2 ** 32;
  };
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
    expect((await refusal(reserve([variantId]))).reason).toBe("ITEM_UNAVAILABLE");
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

  test("answers 400 to any garbage in the place of a page token, and never fails", async () => {
    const random = randomOf(5);
    const junk = ["", "=", "%", " ", "\0", "é", "\ud7ff", "prod_", "0", "z", "9".repeat(20), "-", "'"];
    const valid = async (sort: string) => (await shop().listProducts({ sort, pageSize: 1 })).nextPageToken;
    for (const sort of ["newest", "price", "-price", "title"]) {
      const token = await valid(sort);
      for (let round = 0; round < 40; round++) {
        const text = Buffer.from(token, "base64url").toString();
        const at = round % 2 ? 12 + Math.floor(random() * (text.length - 12)) : Math.floor(random() * 12);
        const changed =
          text.slice(0, at) +
          junk[Math.floor(random() * junk.length)] +
          text.slice(at + Math.floor(random() * 4));
        const pageToken = round % 5 ? Buffer.from(changed).toString("base64url") : changed;
        const path = `/v1/products?${new URLSearchParams({ sort, pageToken })}`;
        const { status } = await mall.app.fetch(new Request(`http://product${path}`));
        expect([path, [200, 400].includes(status)]).toEqual([path, true]);
        const { reason } = await refusal(shop().listProducts({ sort, pageToken }));
        expect(reason).toBe(status === 200 ? undefined : "VALIDATION");
      }
    }
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
    expect(await statementsOf(() => shop().getProduct({ productId: products[0]!.id }))).toBe(1);
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
    const { status, json } = await post("/v1/products/import", JSON.stringify({ csv: "<html>" }));
    expect(status).toBe(400);
    expect(json).toMatchObject({ reason: "NOT_A_CATALOGUE", errors: [{ pointer: "#/csv" }] });
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
    const withdrawn = await reserve([ids[0]!, ids[1]!]).catch((error: unknown) => error);
    const named = { reason: "ITEM_UNAVAILABLE", metadata: { variantId: ids[1]! } };
    expect(faultInfo(withdrawn)).toMatchObject(named);
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

  test("leaves a product out when another has all its SKUs, and as it was when it exists", async () => {
    const { handle: owner } = await sell(1);
    const { handle: other, ids } = await sell(4);
    const stolen = (handle: string) => {
      const [row] = rowsOf(handle, [{ units: 9, price: "3.00" }]);
      return { ...row!, "Variant SKU": `${owner}-0` };
    };
    const unheard = newHandle();
    const [a, b] = [await importRows([stolen(unheard)]), await importRows([stolen(other)])];
    for (const report of [a, b]) {
      expect(report).toMatchObject({
        created: 0,
        updated: 0,
        variants: 0,
        problems: [{ reason: "SKU_TAKEN" }],
      });
    }
    expect(await mall.db.sql`select from product.products where handle = ${unheard}`).toHaveLength(0);
    const kept = await read(other);
    expect(kept.version).toBe(1);
    expect(kept.variants).toMatchObject([{ id: ids[0]!, available: 4, price: { minor: 1000n } }]);
  });

  test("sorts a product by the prices it is left with", async () => {
    const { handle: owner } = await sell(1);
    const vendor = `Left${++made}`;
    const [cheap, dear] = [newHandle(), newHandle()];
    const sizes = [
      { units: 1, price: "1.00" },
      { units: 1, price: "9.00" },
    ];
    const [taken, free] = rowsOf(dear, sizes, { Vendor: vendor });
    await importRows([
      ...rowsOf(cheap, [{ units: 1, price: "5.00" }], { Vendor: vendor }),
      { ...taken!, "Variant SKU": `${owner}-0` },
      free!,
    ]);
    const { products } = await shop().listProducts({ q: vendor, sort: "price" });
    expect(products.map((p) => p.handle)).toEqual([cheap, dear]);
  });

  test("makes one category of one slug, and none for products without type and tags", async () => {
    const n = ++made;
    const [a, b, bare] = [newHandle(), newHandle(), newHandle()];
    await importRows([
      ...rowsOf(a, [{ units: 1 }], { Type: `Tea & Herbs ${n}` }),
      ...rowsOf(b, [{ units: 1 }], { Tags: `tea herbs ${n}, TEA - HERBS ${n}` }),
      ...rowsOf(bare, [{ units: 1 }]),
    ]);
    const categories = [...(await read(a)).categories, ...(await read(b)).categories];
    expect(categories.map(({ slug }) => slug)).toEqual([`tea-herbs-${n}`, `tea-herbs-${n}`]);
    expect((await read(bare)).categories).toEqual([]);
    await importRows(rowsOf(a, [{ units: 1 }]));
    expect((await read(a)).categories).toEqual([]);
    const { products } = await shop().listProducts({ category: `tea-herbs-${n}` });
    expect(products.map((p) => p.handle)).toEqual([b]);
  });

  test("stores texts of every length and character the file may have", async () => {
    const handle = newHandle();
    const over = {
      Title: "𝒯".repeat(127),
      Vendor: "é".repeat(255),
      Tags: Array.from({ length: 250 }, (_, i) => `Tag ${i} 茶`).join(", "),
      "Body (HTML)": `&#0;&#xD800;&lt;b&gt;${"ÿ".repeat(64_000)}`,
    };
    const images = Array.from({ length: 249 }, (_, i) => ({
      Handle: handle,
      "Image Src": `https://example.com/${i}/${"x".repeat(1000)}.jpg`,
    }));
    const report = await importRows([
      ...rowsOf(handle, [{ units: 1_000_000, price: "10000000000.00" }], over),
      ...images,
    ]);
    expect(report).toMatchObject({ created: 1, problems: [] });
    const product = await read(handle);
    expect(product).toMatchObject({ title: over.Title, vendor: over.Vendor });
    expect(product.description).toStartWith("\ufffd\ufffd<b>ÿÿ");
    expect([product.categories.length, product.media.length]).toEqual([250, 249]);
    expect(product.variants[0]).toMatchObject({ available: 1_000_000, price: { minor: 10n ** 12n } });
    const { products, nextPageToken } = await shop().listProducts({ sort: "title", q: "𝒯𝒯", pageSize: 1 });
    expect([products.length, nextPageToken]).toEqual([1, ""]);
  });

  test("with setStock does not count units whose hold is due as reserved", async () => {
    const { handle, ids } = await sell(10, 10);
    await reserve(
      [
        [ids[0]!, 6],
        [ids[1]!, 6],
      ],
      { seconds: 1 },
    );
    mall.clock.advance(1);
    await importRows(rowsOf(handle, [{ units: 2 }, { units: 2 }]), true);
    for (const id of ids) expect(await stockOf(id)).toEqual({ onHand: 2, reserved: 0, available: 2 });
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
    const inStatements = async (rows: Row[], setStock = false) => {
      const first = await statementsOf(() => importRows(rows));
      return [first, await statementsOf(() => importRows(rows, setStock))];
    };
    const many = Array.from({ length: 100 }, () =>
      rowsOf(newHandle(), [{ units: 1 }, {}], { Type: "Many" }),
    ).flat();
    const one = rowsOf(newHandle(), [{ units: 1 }], { Type: "Many" });
    expect(await inStatements(many, true)).toEqual(await inStatements(one, true));
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

  test("of one file many times at once makes each product once", async () => {
    for (let round = 0; round < 4; round++) {
      const handles = Array.from({ length: 10 }, newHandle);
      const rows = handles.flatMap((handle) => rowsOf(handle, [{ units: 3 }, { units: 3 }]));
      const copies = Array.from({ length: 8 }, (_, n) => importRows(n % 2 ? rows.toReversed() : rows));
      const reports = await Promise.all(copies);
      expect(reports.map((report) => report.created).sort()).toEqual([0, 0, 0, 0, 0, 0, 0, 10]);
      const found = await mall.db.sql`select v.id, s.on_hand from product.variants v
        join product.stock s on s.variant_id = v.id join product.products p on p.id = v.product_id
        where p.handle in ${mall.db.sql(handles)}`;
      expect(found.map((row) => row.on_hand)).toEqual(Array(20).fill(3));
    }
  });
});

/** All published products of the catalogue, page by page. */
async function everyProduct(sort: string): Promise<Product[]> {
  const seen: Product[] = [];
  let pageToken = "";
  do {
    const page = await shop().listProducts({ sort, pageSize: 7, pageToken });
    seen.push(...page.products);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return seen;
}

describe("a whole catalogue", () => {
  test("of the demo is sold: each published product is listed once in every order", async () => {
    const csv = await Bun.file(join(import.meta.dir, "../mall/demo/catalogue.csv")).text();
    const report = await shop({ service: "mall" }).importProducts({ csv });
    expect(report).toMatchObject({ updated: 0, problems: [] });
    expect(report.created).toBeGreaterThanOrEqual(60);
    const published = await mall.db.sql`select id from product.products where status = 'published'`;
    const ids = published.map((row) => idOf("prod", row.id) as string).sort();
    for (const sort of ["newest", "price", "-price", "title"]) {
      const seen = await everyProduct(sort);
      expect(seen.map((p) => p.id).sort()).toEqual(ids);
      expect(seen.every((p) => p.variants.length > 0)).toBe(true);
    }
    const again = await shop({ service: "mall" }).importProducts({ csv });
    expect(again).toMatchObject({ created: 0, updated: report.created, variants: report.variants });
    expect((await read("trail-mug")).version).toBe(1);
  });

  for (const file of ["apparel.csv", "home-and-garden.csv"]) {
    const path = join(import.meta.dir, "../../../shared/data", file);
    // The samples are not ours to copy: they lie beside the checkout where the project is developed.
    const isThere = existsSync(path);
    if (!isThere) console.warn(`SKIPPED: ${path} is not there, so the sample ${file} is not imported.`);
    test.skipIf(!isThere)(
      `of ${file} is taken completely, and each of its variants can be bought`,
      async () => {
        const csv = await Bun.file(path).text();
        const report = await shop({ user: { id: mall.newId("usr"), roles: ["staff"] } }).importProducts({
          csv,
        });
        expect(report).toMatchObject({ created: 20, updated: 0, problems: [], variants: report.rows });
        const handles = new Set(csv.split("\n").map((line) => line.split(",")[0]!));
        const products = (await everyProduct("newest")).filter((p) => handles.has(p.handle));
        expect(products).toHaveLength(20);
        const ids = products.flatMap((p) => p.variants.map((v) => v.id));
        expect(ids).toHaveLength(report.variants);
        const checkoutId = await reserve(ids);
        await checkout().claimStock({ checkoutId });
        expect(await holdOf(checkoutId)).toBe("claimed");
      },
    );
  }
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
    const tries = await Promise.allSettled(Array.from({ length: 20 }, () => client.receiveStock(asked)));
    const refusals = tries.flatMap((tried) => (tried.status === "rejected" ? [tried.reason as unknown] : []));
    const late = refusals.filter((error) => faultInfo(error)?.reason !== "IDEMPOTENCY_KEY_IN_FLIGHT");
    expect([late, refusals.length < 20]).toEqual([[], true]);
    expect((await client.receiveStock(asked)).stock!.onHand).toBe(15);
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

  test("change over REST is replayed with the same bytes, over Connect with the same answer", async () => {
    const { ids } = await sell(5);
    const key = crypto.randomUUID();
    const path = `/v1/inventory/${ids[0]}/adjust`;
    const adjust = (body: object, extra: Record<string, string> = { "idempotency-key": key }) =>
      post(path, JSON.stringify(body), extra);
    const first = await adjust({ delta: 4, note: "count" });
    expect([first.status, first.headers.get("etag"), first.headers.get("idempotent-replayed")]).toEqual([
      ...[200, '"2"', null],
    ]);
    const again = await adjust({ note: "count", delta: 4 });
    expect([again.status, again.text]).toEqual([200, first.text]);
    expect(again.headers.get("idempotent-replayed")).toBe("true");
    const overConnect = await warehouse(key).adjustStock({ variantId: ids[0]!, delta: 4, note: "count" });
    expect(overConnect.stock).toMatchObject({ onHand: 9, version: 2 });
    expect(await adjust({ delta: 5, note: "count" })).toMatchObject({
      ...{ status: 422, json: { reason: "IDEMPOTENCY_KEY_REUSED" } },
    });
    expect(await adjust({ delta: 4 }, {})).toMatchObject({
      ...{ status: 400, json: { reason: "IDEMPOTENCY_KEY_REQUIRED" } },
    });
    const short = { "idempotency-key": crypto.randomUUID() };
    const refused = await adjust({ delta: -10 }, short);
    expect(refused).toMatchObject({ status: 409, json: { reason: "OUT_OF_STOCK" } });
    await keyed().receiveStock({ variantId: ids[0]!, quantity: 100 });
    expect((await adjust({ delta: -10 }, short)).text).toBe(refused.text);
    expect((await stockOf(ids[0]!)).onHand).toBe(109);
  });

  test("change over REST asks If-Match for the version", async () => {
    const { ids } = await sell(5);
    const adjust = (ifMatch: string, body: object = { delta: 1 }) =>
      post(`/v1/inventory/${ids[0]}/adjust`, JSON.stringify(body), {
        ...{ "idempotency-key": crypto.randomUUID(), "if-match": ifMatch },
      });
    expect(await adjust('"1"')).toMatchObject({ status: 200, json: { stock: { onHand: 6, version: 2 } } });
    const stale = { status: 412, json: { reason: "VERSION_MISMATCH", metadata: { version: "2" } } };
    expect(await adjust('"1"')).toMatchObject(stale);
    expect(await adjust('"1"', { delta: 1, expectedVersion: 2 })).toMatchObject(stale);
    for (const broken of ["2", 'W/"2"', "*", '"0"', '"99999999999"'])
      expect(await adjust(broken)).toMatchObject({ status: 400, json: { reason: "VALIDATION" } });
    expect((await adjust('"2"')).headers.get("etag")).toBe('"3"');
    expect((await stockOf(ids[0]!)).onHand).toBe(7);
  });

  test("change outside its limits is refused and changes nothing", async () => {
    const { ids } = await sell(5);
    const bodies = ['{"delta":0}', '{"delta":1000001}', '{"delta":2147483648}', '{"delta":1.5}', "{}"];
    for (const body of bodies) {
      const { status } = await post(`/v1/inventory/${ids[0]}/adjust`, body, {
        "idempotency-key": crypto.randomUUID(),
      });
      expect([body, status]).toEqual([body, 400]);
    }
    expect((await refusal(keyed().receiveStock({ variantId: ids[0]!, quantity: -1 }))).reason).toBe(
      "VALIDATION",
    );
    expect((await stockOf(ids[0]!)).onHand).toBe(5);
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
      code: "FailedPrecondition",
      reason: "ITEM_UNAVAILABLE",
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
      reason: "HOLD_ENDED",
    });
    expect((await stockOf(ids[0]!)).reserved).toBe(0);
  });

  test("takes as many statements for thirty lines as for one", async () => {
    const { ids } = await sell(...Array<number>(30).fill(9));
    const count = (lines: string[]) => statementsOf(() => reserve(lines));
    expect([await count(ids.slice(0, 1)), await count(ids)]).toEqual([1, 1]);
    await reserve(ids, { seconds: 5 });
    mall.clock.advance(5);
    expect(await count(ids)).toBe(1);
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

  test("with an end that no calendar has is refused", async () => {
    const { ids } = await sell(5);
    const asked = { checkoutId: mall.newId("chk"), lines: [{ variantId: ids[0]!, quantity: 1 }] };
    for (const seconds of [10n ** 15n, -(10n ** 12n), 253_402_300_800n]) {
      const expiresAt = { seconds, nanos: 0 };
      expect((await refusal(checkout().reserveStock({ ...asked, expiresAt }))).reason).toBe("VALIDATION");
      const moved = checkout().extendStock({ checkoutId: asked.checkoutId, expiresAt });
      expect((await refusal(moved)).reason).toBe("VALIDATION");
    }
    expect((await stockOf(ids[0]!)).reserved).toBe(0);
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

  test("of untracked variants ends like any other", async () => {
    const { ids } = await sell(undefined);
    const [late, kept] = [await reserve(ids, { seconds: 5 }), await reserve(ids, { seconds: 9 })];
    mall.clock.advance(5);
    expect((await refusal(checkout().claimStock({ checkoutId: late }))).reason).toBe("HOLD_EXPIRED");
    expect((await refusal(checkout().extendStock({ checkoutId: late }))).reason).toBe("HOLD_EXPIRED");
    expect((await refusal(reserve(ids, { checkoutId: late }))).reason).toBe("HOLD_ENDED");
    await checkout().claimStock({ checkoutId: kept });
    await mall.app.sweep();
    expect([await holdOf(late), await holdOf(kept)]).toEqual(["expired", "claimed"]);
  });

  test("that is due gives its units back once, however many sweeps there are", async () => {
    const { ids } = await sell(9, 9);
    await reserve(
      [
        [ids[0]!, 4],
        [ids[1]!, 2],
      ],
      { seconds: 5 },
    );
    const other = await reserve([[ids[0]!, 1]], { seconds: 60 });
    mall.clock.advance(5);
    await Promise.all([mall.app.sweep(), mall.app.sweep(), mall.app.sweep()]);
    await mall.app.sweep();
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 9, reserved: 1, available: 8 });
    expect(await stockOf(ids[1]!)).toEqual({ onHand: 9, reserved: 0, available: 9 });
    await checkout().claimStock({ checkoutId: other });
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 8, reserved: 0, available: 8 });
  });

  test("that was released can neither be claimed nor extended, and there may be none", async () => {
    const { ids } = await sell(1);
    const checkoutId = await reserve([ids[0]!]);
    await checkout().releaseStock({ checkoutId });
    expect((await stockOf(ids[0]!)).available).toBe(1);
    expect((await refusal(checkout().claimStock({ checkoutId }))).reason).toBe("HOLD_ENDED");
    expect((await refusal(checkout().extendStock({ checkoutId }))).reason).toBe("HOLD_ENDED");
    const unknown = { checkoutId: mall.newId("chk") };
    expect((await refusal(checkout().claimStock(unknown))).reason).toBe("HOLD_NOT_FOUND");
    expect((await refusal(checkout().extendStock(unknown))).reason).toBe("HOLD_NOT_FOUND");
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

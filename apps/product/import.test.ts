import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Product } from "@mall/gen/mall/product/v1/product_pb";
import { faultInfo } from "@mall/kernel/fault";
import { idOf, uuidOf } from "@mall/kernel/id";
import type { As } from "@mall/kernel/testing/harness";
import { refusal } from "@mall/kernel/testing/refusal";
import { csvOf, newHandle, newNumber, productSuite, type Row, rowsOf } from "./testing";

const {
  shop,
  importRows,
  productIdOf,
  read,
  sell,
  post,
  checkout,
  stockOf,
  reserve,
  holdOf,
  eventsAbout,
  mall,
  statementsOf,
} = productSuite();

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
    const before = (await mall().db.sql`select count(*)::int as n from product.products`)[0]!.n;
    for (const csv of ["<html></html>", "name,amount\nx,1", "\n\n"]) {
      const asked = shop({ service: "mall" }).importProducts({ csv });
      expect(await refusal(asked)).toEqual({ code: "InvalidArgument", reason: "NOT_A_CATALOGUE" });
    }
    const { status, json } = await post("/v1/products/import", JSON.stringify({ csv: "<html>" }));
    expect(status).toBe(400);
    expect(json).toMatchObject({ reason: "NOT_A_CATALOGUE", errors: [{ pointer: "#/csv" }] });
    expect((await mall().db.sql`select count(*)::int as n from product.products`)[0]!.n).toBe(before);
  });

  test("is for staff and the command line only", async () => {
    const csv = csvOf(rowsOf(newHandle(), [{ units: 1 }]));
    const by = (as: As) => refusal(shop(as).importProducts({ csv }));
    expect((await by({})).code).toBe("Unauthenticated");
    expect((await by({ user: { id: mall().newId("usr") } })).code).toBe("PermissionDenied");
    expect((await by({ user: { id: mall().newId("usr"), roles: ["staff"] } })).code).toBeUndefined();
  });

  test("that comes again updates by handle and SKU, and leaves stock alone", async () => {
    const { handle, ids } = await sell(7, 2);
    await reserve([[ids[0]!, 3]]);
    mall().clock.advance(60);
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
    mall().clock.advance(60);
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
    const ledger = await mall().db.sql`select kind, delta from product.stock_movements
      where variant_id in ${mall().db.sql(ids.map(uuidOf))} and at = ${mall().clock().toISOString()} order by id`;
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
    expect(await mall().db.sql`select from product.products where handle = ${unheard}`).toHaveLength(0);
    const kept = await read(other);
    expect(kept.version).toBe(1);
    expect(kept.variants).toMatchObject([{ id: ids[0]!, available: 4, price: { minor: 1000n } }]);
  });

  test("sorts a product by the prices it is left with", async () => {
    const { handle: owner } = await sell(1);
    const vendor = `Left${newNumber()}`;
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
    const n = newNumber();
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
    mall().clock.advance(1);
    await importRows(rowsOf(handle, [{ units: 2 }, { units: 2 }]), true);
    for (const id of ids) expect(await stockOf(id)).toEqual({ onHand: 2, reserved: 0, available: 2 });
  });

  test("announces each product that changed", async () => {
    const { handle } = await sell(1);
    await importRows(rowsOf(handle, [{ units: 1, price: "1.00" }]));
    const events = await mall().db.sql`select type, sequence, data from product.outbox
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
      const found = await mall().db.sql`select v.id, s.on_hand from product.variants v
        join product.stock s on s.variant_id = v.id join product.products p on p.id = v.product_id
        where p.handle in ${mall().db.sql(handles)}`;
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
    const published = await mall().db.sql`select id from product.products where status = 'published'`;
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
        const report = await shop({ user: { id: mall().newId("usr"), roles: ["staff"] } }).importProducts({
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

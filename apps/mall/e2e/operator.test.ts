import { beforeAll, describe, expect, test } from "bun:test";
import { openDb } from "@mall/kernel/db/client";
import { uuidOf } from "@mall/kernel/id";
import { mall, newAdmin } from "./command";
import { host, hostKind } from "./host";
import {
  guestWith,
  inStock,
  newKey,
  newUser,
  type Options,
  type Problem,
  type Product,
  placeOrder,
  rest,
} from "./shop";

let admin: Options;
beforeAll(async () => {
  await host();
  admin = await newAdmin();
});

interface Stock {
  onHand: number;
  reserved: number;
  available: number;
  version: number;
}

const catalogue = (rows: string[]) =>
  [
    "Handle,Title,Type,Published,Variant SKU,Variant Inventory Tracker,Variant Inventory Qty,Variant Price",
    ...rows,
  ].join("\n");

describe(`an operator (${hostKind})`, () => {
  test("imports a catalogue: good rows are sold, each broken one is reported with line and reason", async () => {
    const name = `kite-${crypto.randomUUID().slice(0, 8)}`;
    const csv = catalogue([
      `${name},Kite ${name},Toys,true,${name}-1,shopify,7,12.50`,
      `${name}-bad,Bad,Toys,true,${name}-2,shopify,7,twelve`,
      `${name}-less,Less,Toys,true,${name}-3,shopify,-1,5`,
    ]);
    const report = await rest<{
      created: number;
      rows: number;
      problems: { line: number; reason: string }[];
    }>("POST", "/v1/products/import", { csv }, admin);
    expect([report.status, report.body.created, report.body.rows]).toEqual([200, 1, 3]);
    expect(report.body.problems.map((p) => [p.line, p.reason])).toEqual([
      [3, "PRICE_INVALID"],
      [4, "QUANTITY_NEGATIVE"],
    ]);
    const found = await rest<{ products: Product[] }>("GET", `/v1/products?q=${name}`);
    const variant = found.body.products[0]!.variants[0]!;
    expect([variant.sku, variant.price.minor, variant.available]).toEqual([`${name}-1`, "1250", 7]);
    expect((await placeOrder(await guestWith(variant))).status).toBe(201);
  });

  test("is refused a file that is no catalogue, whole", async () => {
    for (const csv of ["<html></html>", "a,b,c\n1,2,3", '"unclosed']) {
      const refused = await rest<Problem>("POST", "/v1/products/import", { csv }, admin);
      expect([refused.status, refused.body.reason]).toEqual([400, "NOT_A_CATALOGUE"]);
      expect(refused.body.errors[0]?.pointer).toBe("#/csv");
    }
  });

  test("receives and adjusts stock once for each key, on the version it has read", async () => {
    const sku = `rope-${crypto.randomUUID().slice(0, 8)}`;
    await rest(
      "POST",
      "/v1/products/import",
      { csv: catalogue([`${sku},Rope,Toys,true,${sku},shopify,10,3`]) },
      admin,
    );
    const { body } = await rest<{ products: Product[] }>("GET", `/v1/products?q=Rope`);
    const variant = body.products.flatMap((p) => p.variants).find((v) => v.sku === sku)!;
    const path = `/v1/inventory/${variant.id}`;
    const key = newKey();
    const received = await rest("POST", `${path}/receive`, { quantity: 5 }, { ...admin, key });
    const again = await rest("POST", `${path}/receive`, { quantity: 5 }, { ...admin, key });
    expect([received.status, again.text]).toEqual([200, received.text]);
    const { stock } = (await rest<{ stock: Stock }>("GET", path, undefined, admin)).body;
    expect([stock.onHand, stock.reserved, stock.available]).toEqual([15, 0, 15]);
    const stale = { ...admin, key: newKey(), headers: { "if-match": `"${stock.version + 7}"` } };
    const mismatch = await rest<Problem>("POST", `${path}/adjust`, { delta: -1 }, stale);
    expect([mismatch.status, mismatch.body.reason]).toEqual([412, "VERSION_MISMATCH"]);
    const tooMany = await rest<Problem>(
      "POST",
      `${path}/adjust`,
      { delta: -16 },
      { ...admin, key: newKey() },
    );
    expect([tooMany.status, tooMany.body.reason]).toEqual([409, "OUT_OF_STOCK"]);
    const set = await mall("stock", "set", sku, "3");
    expect([set.exitCode, set.text.trim()]).toEqual([0, `${sku}: 3 on hand, 0 reserved`]);
  });

  test("reconciles the stock: clean, or each difference by its variant and exit code 1", async () => {
    const { id: variantId } = await inStock();
    const clean = await mall("reconcile", "stock");
    expect([clean.exitCode, clean.text.trim()]).toEqual([
      0,
      expect.stringMatching(/^[1-9][0-9]* variants checked, 0 differences$/),
    ]);
    const owner = openDb({ url: (await host()).databaseUrl, max: 1 });
    const shift = (by: number) =>
      owner.sql`update product.stock set on_hand = on_hand + ${by} where variant_id = ${uuidOf(variantId)}`;
    try {
      await shift(1);
      const found = await mall("reconcile", "stock");
      expect([found.exitCode, found.text]).toEqual([
        1,
        expect.stringMatching(
          new RegExp(`^${variantId}: on_hand [0-9]+, the ledger says [0-9]+\n.* 1 differences\n$`),
        ),
      ]);
    } finally {
      await shift(-1);
      await owner.close();
    }
    expect((await mall("reconcile", "stock")).exitCode).toBe(0);
  });

  test("is told what the command line does not understand", async () => {
    expect((await mall("frobnicate")).exitCode).toBe(2);
    expect((await mall("stock", "set", "NO-SUCH-SKU", "1")).exitCode).toBe(1);
  });

  test("does not exist for customers: staff routes refuse them", async () => {
    const user = await newUser();
    expect((await rest("POST", "/v1/products/import", { csv: "x" })).status).toBe(401);
    expect((await rest("POST", "/v1/products/import", { csv: "x" }, user)).status).toBe(403);
  });
});

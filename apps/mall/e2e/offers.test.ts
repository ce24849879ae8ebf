import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mall } from "./command";
import { hostKind } from "./host";
import { type Cart, type Product, rest } from "./shop";

/** Imports a mug at a price, as an operator does. */
async function priced(handle: string, price: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "mall-offers-"));
  const file = join(folder, "goods.csv");
  const head =
    "Handle,Title,Published,Variant SKU,Variant Inventory Tracker,Variant Inventory Qty,Variant Price";
  await Bun.write(file, `${head}\n${handle},Mug,true,${handle},shopify,10,${price}`);
  expect((await mall("import", file)).exitCode).toBe(0);
  await rm(folder, { recursive: true });
}

test(`a new price is in the carts that have been shown at the old one (${hostKind})`, async () => {
  const handle = `mug-${crypto.randomUUID()}`;
  await priced(handle, "12.00");
  const { products } = (await rest<{ products: Product[] }>("GET", "/v1/products?sort=newest")).body;
  const variantId = products.find((product) => product.handle === handle)!.variants[0]!.id;
  const { body } = await rest<{ cart: Cart; cartSecret: string }>("POST", "/v1/carts", {});
  const { cartSecret } = body;
  const path = `/v1/carts/${body.cart.id}`;
  await rest("POST", `${path}/items`, { variantId, quantity: 1 }, { cartSecret });
  const total = async () =>
    (await rest<{ cart: Cart }>("GET", path, undefined, { cartSecret })).body.cart.subtotal.minor;
  expect(await total()).toBe("1200");
  await priced(handle, "9.00");
  // the command leaves the event to the next sweep of product, which cron does once a minute on Workers
  for (const untilMs = Date.now() + 50_000; (await total()) !== "900"; await Bun.sleep(100))
    expect(Date.now()).toBeLessThan(untilMs);
});

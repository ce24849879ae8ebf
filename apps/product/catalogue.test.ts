import { beforeAll, describe, expect, test } from "bun:test";
import type { Product } from "@mall/gen/mall/product/v1/product_pb";
import { refusal } from "@mall/kernel/testing/refusal";
import { newHandle, newNumber, productSuite, rowsOf } from "./testing";

const { shop, importRows, productIdOf, read, variantIdOf, sell, post, reserve, mall, statementsOf } =
  productSuite();

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
    const unknown = shop().getProduct({ productId: mall().newId("prod") });
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
      variantIds: [...ids, mall().newId("var")],
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
      mall().clock.advance(1);
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
    const category = { Type: `Rare Category ${newNumber()}` };
    const [a, b] = [newHandle(), newHandle()];
    await importRows([...rowsOf(a, [{ units: 1 }], category), ...rowsOf(b, [{ units: 1 }], category)]);
    const slug = (await read(a)).categories[0]!.slug;
    const found = await pagesOf({ category: slug, sort: "title" }, 1);
    expect(found.map((p) => p.handle)).toEqual([a, b].sort());
    expect(await pagesOf({ category: slug, q: "nothing like it" }, 10)).toEqual([]);
    expect(await pagesOf({ category: "no-such-category" }, 10)).toEqual([]);
  });

  test("gives out only page tokens that it takes back, for titles in any script", async () => {
    const vendor = `Long${newNumber()}`;
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
        const { status } = await mall().app.fetch(new Request(`http://product${path}`));
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

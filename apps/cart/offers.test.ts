import { afterAll, describe, expect, test } from "bun:test";
import type { Cart } from "@mall/gen/mall/cart/v1/cart_pb";
import { CartService, ItemIssue } from "@mall/gen/mall/cart/v1/cart_pb";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import type { EnvSource } from "@mall/kernel/env";
import { type As, type Harness, harness } from "@mall/kernel/testing/harness";
import { startTestRedisRest } from "@mall/kernel/testing/redis-rest";
import { createCartService } from "./service";
import type { Held } from "./testing";

const redis = await startTestRedisRest();
if (!redis)
  console.log("SKIPPED: offers in a shared cache (no redis-server; infra/install-debian.sh has it)");
const ends: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const end of ends) await end();
  await redis?.stop();
});

/** What the catalogue asks now, the same for all instances of a test. */
interface Catalogue {
  minor: bigint;
  isSold: boolean;
  /** Resolves when the catalogue may answer what it has looked up. */
  gate: Promise<void>;
  asked: string[][];
}

/** One instance of cart before a catalogue, whose answers take time. */
async function instance(catalogue: Catalogue, env: EnvSource): Promise<Harness> {
  const mall = await harness("cart", createCartService, {
    env,
    neighbours: (router) =>
      router.service(ProductService, {
        async batchGetVariants({ variantIds }) {
          catalogue.asked.push(variantIds);
          const { minor, isSold, gate } = catalogue;
          await gate;
          mall.clock.advance(0.005);
          const sold = (id: string) => ({
            productId: `prod_${id.slice("var_".length)}`,
            productTitle: "Müg",
            variant: { id, sku: id, price: { currency: "USD", minor }, trackInventory: true, available: 3 },
          });
          return { variants: isSold ? variantIds.map(sold) : [] };
        },
      }),
  });
  ends.push(() => mall.stop());
  return mall;
}

const newCatalogue = (): Catalogue => ({ minor: 1000n, isSold: true, gate: Promise.resolve(), asked: [] });

async function filled(mall: Harness, variantIds: readonly string[], user: As = {}): Promise<Held> {
  const { cart, cartSecret } = await mall.client(CartService, user).createCart({});
  const held = { cartId: cart!.id, as: user.user ? user : { cartSecret } };
  for (const variantId of variantIds)
    await mall.client(CartService, held.as).addItem({ cartId: held.cartId, variantId, quantity: 2 });
  return held;
}

const shown = async (mall: Harness, { cartId, as }: Held): Promise<Cart> =>
  (await mall.client(CartService, as).getCart({ cartId })).cart!;
const pricesOf = (cart: Cart) => cart.items.map(({ unitPrice }) => unitPrice!.minor);

/** The event that the product service announces, as the bus brings it, so many seconds after the change. */
const changed = (mall: Harness, ageSeconds = 0) => {
  const productId = mall.newId("prod");
  const time = new Date(mall.clock().getTime() - ageSeconds * 1000).toISOString();
  return mall.app.handle({
    ...{ specversion: "1.0", id: crypto.randomUUID(), source: "/product", subject: productId, sequence: "2" },
    ...{ type: "mall.product.v1.ProductChanged", time },
    data: { productId, version: 2 },
  });
};

const kinds: [name: string, env: EnvSource][] = [
  ["memory", { OFFER_CACHE_MS: "1000" }],
  ...(redis ? [["Redis", { ...redis.env, OFFER_CACHE_MS: "60000" }] as [string, EnvSource]] : []),
];

for (const [name, env] of kinds) {
  describe(`offers kept in ${name}`, () => {
    test("are asked for once, and look as if they had been asked for", async () => {
      const catalogue = newCatalogue();
      const mall = await instance(catalogue, env);
      const ids = [mall.newId("var"), mall.newId("var")];
      const held = await filled(mall, ids);
      // when the second came, only that one was asked for
      expect(catalogue.asked).toEqual([[ids[0]!], [ids[1]!]]);
      const first = await shown(mall, held);
      catalogue.asked = [];
      for (let i = 0; i < 5; i++) expect(await shown(mall, held)).toEqual(first);
      await mall.client(CartService, held.as).setItemQuantity({
        ...{ cartId: held.cartId, variantId: ids[1]!, quantity: 9 },
      });
      expect(catalogue.asked).toEqual([]);
      expect(first.items[0]).toMatchObject({ title: "Müg", available: 3, total: { minor: 2000n } });
    });

    test("are asked for again after a product event, also one that is withdrawn", async () => {
      const catalogue = newCatalogue();
      const mall = await instance(catalogue, env);
      const held = await filled(mall, [mall.newId("var")]);
      catalogue.minor = 900n;
      expect(pricesOf(await shown(mall, held))).toEqual([1000n]);
      await changed(mall);
      expect(pricesOf(await shown(mall, held))).toEqual([900n]);
      catalogue.isSold = false;
      await changed(mall);
      expect((await shown(mall, held)).items[0]!.issue).toBe(ItemIssue.UNAVAILABLE);
      // that it is not sold is not kept
      catalogue.isSold = true;
      expect(pricesOf(await shown(mall, held))).toEqual([900n]);
    });

    test("of a cart that a checkout gave back are as they are now", async () => {
      const catalogue = newCatalogue();
      const mall = await instance(catalogue, env);
      const held = await filled(mall, [mall.newId("var")]);
      const mine = await filled(mall, [mall.newId("var")], { user: { id: mall.newId("usr") } });
      const checkoutId = mall.newId("chk");
      const lock = mall.client(CartService, { service: "checkout", ...held.as });
      await lock.lockCart({ cartId: held.cartId, checkoutId });
      catalogue.isSold = false;
      mall.clock.advance(0.001);
      await lock.unlockCart({ cartId: held.cartId, checkoutId });
      // also when the cart becomes part of a user's
      const claim = mall.client(CartService, { ...mine.as, ...held.as });
      const { cart } = await claim.claimCart({ cartId: held.cartId });
      expect(cart!.id).toBe(mine.cartId);
      expect(cart!.items.map(({ issue }) => issue)).toEqual([ItemIssue.UNAVAILABLE, ItemIssue.UNAVAILABLE]);
    });

    test("are not kept when the event came while they were on their way", async () => {
      const catalogue = newCatalogue();
      const mall = await instance(catalogue, env);
      const held = await filled(mall, [mall.newId("var")]);
      await changed(mall);
      const gate = Promise.withResolvers<void>();
      catalogue.gate = gate.promise;
      catalogue.asked = [];
      const slow = shown(mall, held);
      while (catalogue.asked.length === 0) await Bun.sleep(5);
      catalogue.minor = 700n;
      await changed(mall);
      gate.resolve();
      expect(pricesOf(await slow)).toEqual([1000n]);
      expect(pricesOf(await shown(mall, held))).toEqual([700n]);
    });

    test("are as old as the asking, however long the answer took", async () => {
      const catalogue = newCatalogue();
      const mall = await instance(catalogue, env);
      const variantId = mall.newId("var");
      const gate = Promise.withResolvers<void>();
      catalogue.gate = gate.promise;
      const slow = filled(mall, [variantId]);
      while (catalogue.asked.length === 0) await Bun.sleep(5);
      catalogue.minor = 700n;
      mall.clock.advance(Number(env.OFFER_CACHE_MS) / 1000);
      gate.resolve();
      expect(pricesOf(await shown(mall, await slow))).toEqual([700n]);
    });
  });
}

test("each instance by itself keeps offers for a second at most, whatever it is told", async () => {
  const catalogue = newCatalogue();
  const mall = await instance(catalogue, { OFFER_CACHE_MS: "60000" });
  const held = await filled(mall, [mall.newId("var")]);
  catalogue.minor = 900n;
  await Bun.sleep(1_050);
  expect(pricesOf(await shown(mall, held))).toEqual([900n]);
});

test("nothing is kept unless it is told, but in production", async () => {
  const catalogue = newCatalogue();
  const mall = await instance(catalogue, {});
  const held = await filled(mall, [mall.newId("var")]);
  catalogue.minor = 900n;
  expect(pricesOf(await shown(mall, held))).toEqual([900n]);
});

test.skipIf(!redis)("an event that one instance gets acts on all that share a Redis", async () => {
  const catalogue = newCatalogue();
  const env = { ...redis!.env, OFFER_CACHE_MS: "60000" };
  const [one, two] = [await instance(catalogue, env), await instance(catalogue, env)];
  const variantId = one.newId("var");
  const [inOne, inTwo] = [await filled(one, [variantId]), await filled(two, [variantId])];
  // the second instance knows from the first what the variant costs
  expect(catalogue.asked).toEqual([[variantId]]);
  catalogue.minor = 900n;
  expect(pricesOf(await shown(two, inTwo))).toEqual([1000n]);
  await changed(one);
  expect(pricesOf(await shown(two, inTwo))).toEqual([900n]);
  expect(pricesOf(await shown(one, inOne))).toEqual([900n]);
});

test("a Redis that is away costs nothing but speed, and an event comes again for ten seconds", async () => {
  const catalogue = newCatalogue();
  const away = { UPSTASH_REDIS_REST_URL: "http://127.0.0.1:1", UPSTASH_REDIS_REST_TOKEN: "t".repeat(20) };
  const mall = await instance(catalogue, { ...away, OFFER_CACHE_MS: "60000" });
  const held = await filled(mall, [mall.newId("var")]);
  catalogue.minor = 900n;
  for (let i = 0; i < 10; i++) expect(pricesOf(await shown(mall, held))).toEqual([900n]);
  for (const ageSeconds of [0, 9])
    await expect(changed(mall, ageSeconds)).rejects.toMatchObject({ code: 14 });
  // a dead letter of QStash for each product of an import would be for nothing
  await changed(mall, 10);
});

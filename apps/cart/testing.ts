import { afterAll, beforeAll } from "bun:test";
import { type Cart, CartService } from "@mall/gen/mall/cart/v1/cart_pb";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { type As, type Harness, harness } from "@mall/kernel/testing/harness";
import { createCartService } from "./service";

/** A cart and who holds it. */
export interface Held {
  cartId: string;
  as: As;
}

/** Variants and how many of each. */
export type Lines = [variantId: string, quantity: number][];

/** The cart service beside a catalogue in which every variant is sold for 10.00 USD, for the tests of one file. */
export function cartSuite() {
  let mall!: Harness;
  beforeAll(async () => {
    mall = await harness("cart", createCartService, {
      neighbours: (router) =>
        router.service(ProductService, {
          batchGetVariants: ({ variantIds }) => ({
            variants: variantIds.map((id) => ({
              productId: `prod_${id.slice("var_".length)}`,
              productTitle: "Mug",
              variant: { id, sku: id, price: { currency: "USD", minor: 1000n } },
            })),
          }),
        }),
    });
  });
  afterAll(() => mall.stop());

  const client = (as: As = {}) => mall.client(CartService, as);
  /** The cart of somebody, with these lines. */
  async function filled(as: As, lines: Lines): Promise<Held> {
    const { cart, cartSecret } = await client(as).createCart({});
    const held = { cartId: cart!.id, as: as.user ? as : { cartSecret } };
    for (const [variantId, quantity] of lines)
      await client(held.as).addItem({ cartId: held.cartId, variantId, quantity });
    return held;
  }
  return {
    mall: () => mall,
    client,
    checkout: (as: As = {}) => client({ ...as, service: "checkout" }),
    filled,
    guest: (lines: Lines = []) => filled({}, lines),
    read: async ({ cartId, as }: Held): Promise<Cart> => (await client(as).getCart({ cartId })).cart!,
    variants: (count: number) => Array.from({ length: count }, () => mall.newId("var") as string),
  };
}

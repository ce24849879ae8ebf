import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { type Harness, harness } from "@mall/kernel/testing/harness";
import { createCartService } from "./service";

/** The cart service beside a catalogue in which every variant is sold for 10.00 USD. */
export const cartHarness = (): Promise<Harness> =>
  harness("cart", createCartService, {
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

import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { StockSchema } from "@mall/gen/mall/product/v1/inventory_pb";
import type { ProductSchema, VariantSchema } from "@mall/gen/mall/product/v1/product_pb";
import type { Product, Variant } from "../domain/catalogue";
import { availableOf, type Stock } from "../domain/stock";

export const variantToMessage = (variant: Variant): MessageInitShape<typeof VariantSchema> => variant;

/** A product of the domain as the contract shows it. */
export const productToMessage = (product: Product): MessageInitShape<typeof ProductSchema> => ({
  ...product,
  variants: product.variants.map(variantToMessage),
  createdAt: timestampFromDate(product.createdAt),
  updatedAt: timestampFromDate(product.updatedAt),
});

/** Stock of the domain as the contract shows it. */
export const stockToMessage = (stock: Stock): MessageInitShape<typeof StockSchema> => ({
  ...stock,
  available: availableOf(stock),
});

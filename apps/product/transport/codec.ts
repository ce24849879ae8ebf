import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  MovementKind,
  type MovementSchema,
  type StockDifferenceSchema,
  type StockSchema,
} from "@mall/gen/mall/product/v1/inventory_pb";
import type { ProductSchema, VariantSchema } from "@mall/gen/mall/product/v1/product_pb";
import type { Product, Variant } from "../domain/catalogue";
import type { Movement, StockDifference } from "../domain/ledger";
import { availableOf, type Stock } from "../domain/stock";

/** An entry of the ledger as the contract shows it. */
export const movementToMessage = (movement: Movement): MessageInitShape<typeof MovementSchema> => ({
  ...movement,
  kind: MovementKind[movement.kind.toUpperCase() as keyof typeof MovementKind],
  at: timestampFromDate(movement.at),
});

const int32 = (value: number): number => Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, value));

/** A difference of stock and books as the contract shows it; numbers that are out of all bounds are cut. */
export const differenceToMessage = (
  difference: StockDifference,
): MessageInitShape<typeof StockDifferenceSchema> => ({
  ...difference,
  recomputed: int32(difference.recomputed),
});

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

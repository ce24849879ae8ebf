import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Cart as CartMessage,
  CartSchema,
  CartState as CartStateMessage,
  ItemIssue,
} from "@mall/gen/mall/cart/v1/cart_pb";
import type { PricedCart } from "../domain/pricing";

/** A priced cart of the domain as the contract shows it. */
export const cartToMessage = (cart: PricedCart): CartMessage =>
  create(CartSchema, {
    id: cart.id,
    state: CartStateMessage[cart.state],
    items: cart.lines.map((line) => ({
      ...line,
      issue: line.issue ? ItemIssue[line.issue] : ItemIssue.UNSPECIFIED,
    })),
    ...cart.totals,
    version: cart.version,
    createdAt: timestampFromDate(cart.createdAt),
    updatedAt: timestampFromDate(cart.updatedAt),
  });

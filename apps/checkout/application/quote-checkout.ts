import { fault } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { subtract } from "@mall/kernel/money";
import { moneyOf } from "@mall/kernel/money-codec";
import type { Deps } from "../deps";
import { checkDestination, type Destination } from "../domain/destination";
import { checkShippingOption, type ShippingOption, shippingOptions } from "../domain/rates";
import { type Purchase, price } from "./price";

/**
 * What a cart of the caller costs at a destination. Faults: VALIDATION for an unknown destination or way
 * to ship, those of the cart, CART_EMPTY, ITEM_UNAVAILABLE.
 */
export const quoteCheckout =
  (deps: Deps) =>
  async (
    cartId: Id<"cart">,
    to: Destination,
    shippingOption: string,
  ): Promise<Purchase & { options: ShippingOption[]; couponCode: string }> => {
    checkDestination(to);
    checkShippingOption(shippingOption);
    const { cart } = await deps.rpc.cart.getCart({ cartId });
    if (cart!.items.length === 0) throw fault("failed_precondition", "CART_EMPTY", "The cart has no items.");
    const { items, discountTotal, couponCode } = cart!;
    const purchase = await price(deps, items, to, shippingOption, moneyOf(discountTotal));
    const { subtotal, discountTotal: discount } = purchase.totals;
    return { ...purchase, couponCode, options: shippingOptions(to, subtract(subtotal, discount)) };
  };

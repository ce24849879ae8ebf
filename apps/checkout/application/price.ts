import { fault } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { lineTitle } from "@mall/kernel/line-title";
import { equals, type Money, times } from "@mall/kernel/money";
import { moneyOf } from "@mall/kernel/money-codec";
import type { Deps } from "../deps";
import type { Destination } from "../domain/destination";
import { computeTotals, type Totals } from "../domain/rates";

/** A line of a purchase at the current price. */
export interface PricedLine {
  variantId: Id<"var">;
  productId: Id<"prod">;
  sku: string;
  title: string;
  quantity: number;
  unitPrice: Money;
  total: Money;
}

export interface Purchase {
  lines: PricedLine[];
  totals: Totals;
}

/**
 * Prices lines at what the catalogue asks now and sums them up for a destination. Fault ITEM_UNAVAILABLE for a
 * variant that is no longer sold.
 * `discount` is the amount of the cart's coupon.
 */
export async function price(
  deps: Deps,
  items: readonly { variantId: string; quantity: number }[],
  to: Destination,
  shippingOption: string,
  discount?: Money,
): Promise<Purchase> {
  const { variants } = await deps.rpc.product.batchGetVariants({
    variantIds: items.map((item) => item.variantId),
  });
  const sold = new Map(variants.map((v) => [v.variant!.id, v]));
  const lines = items.map(({ variantId, quantity }) => {
    const found = sold.get(variantId);
    if (!found) {
      throw fault("failed_precondition", "ITEM_UNAVAILABLE", "An item of the cart is no longer sold.", {
        metadata: { variantId },
      });
    }
    const variant = found.variant!;
    const unitPrice = moneyOf(variant.price);
    return {
      variantId: variantId as Id<"var">,
      productId: found.productId as Id<"prod">,
      sku: variant.sku,
      title: lineTitle(found.productTitle, variant.title),
      quantity,
      unitPrice,
      total: times(unitPrice, quantity),
    };
  });
  const lineTotals = lines.map((line) => line.total);
  return { lines, totals: computeTotals(lineTotals, deps.currency, to, shippingOption, discount) };
}

/** Fault PRICE_CHANGED, with both totals, when the purchase costs something else than the customer agreed to. */
export function checkExpectedTotal(expected: Money | undefined, actual: Money): void {
  if (!expected || equals(expected, actual)) return;
  throw fault("failed_precondition", "PRICE_CHANGED", "The total is not the one that was agreed to.", {
    metadata: {
      expectedTotal: `${expected.minor} ${expected.currency}`,
      actualTotal: `${actual.minor} ${actual.currency}`,
      ...(actual.currency === expected.currency && {
        difference: `${actual.minor - expected.minor} ${actual.currency}`,
      }),
    },
  });
}

import type { SoldVariant } from "@mall/gen/mall/product/v1/product_pb";
import type { Id } from "@mall/kernel/id";
import { lineTitle } from "@mall/kernel/line-title";
import { moneyOf } from "@mall/kernel/money-codec";
import type { Deps } from "../deps";
import type { Cart } from "../domain/cart";
import { type Offer, type Offers, type PricedCart, priceCart } from "../domain/pricing";
import { findSoldVariants } from "./known-variants";

function offerOf({ variant, productId, productTitle }: SoldVariant): [Id<"var">, Offer] {
  const { id, sku, title, price, trackInventory, available } = variant!;
  const offer: Offer = {
    productId: productId as Id<"prod">,
    sku,
    title: lineTitle(productTitle, title),
    price: moneyOf(price),
    available: trackInventory ? (available ?? 0) : undefined,
  };
  return [id as Id<"var">, offer];
}

type Catalogue = Pick<Deps, "rpc" | "cache" | "offersKeptMs" | "background" | "metrics" | "clock">;

/**
 * What the catalogue asks for these variants, not before `since` if given: at most one call, and none for no variants. To be shown
 * only: what a customer pays is worked out by checkout, which asks the catalogue itself.
 */
export async function findOffers(
  deps: Catalogue,
  variantIds: readonly Id<"var">[],
  since: Date | undefined,
): Promise<Offers> {
  if (variantIds.length === 0) return new Map();
  return new Map((await findSoldVariants(deps, variantIds, since)).map(offerOf));
}

/**
 * A cart at current prices; none of them from before a checkout gave it back, so that whoever comes back from one which
 * found something sold out sees that here, too.
 */
export async function showCart(deps: Catalogue & Pick<Deps, "currency">, cart: Cart): Promise<PricedCart> {
  const offers = await findOffers(
    deps,
    cart.lines.map((line) => line.variantId),
    cart.reopenedAt,
  );
  return priceCart(cart, offers, deps.currency, deps.clock());
}

import type { Id } from "@mall/kernel/id";
import type { Actor } from "@mall/kernel/identity/actor";
import type { Held } from "../db/held";
import type { Deps } from "../deps";

/** By what right the actor asks for a cart: as its user, or as the bearer of a guest cart's secret. */
export const holdOf = (deps: Pick<Deps, "secrets">, actor: Actor, cartId: Id<"cart">): Held => ({
  cartId,
  userId: actor.user?.id,
  bySecret: actor.cartSecret !== undefined && deps.secrets.isSecretOf(actor.cartSecret, "cart", cartId, 1),
});

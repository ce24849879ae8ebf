import type { HandlerContext } from "@connectrpc/connect";
import { CartService } from "@mall/gen/mall/cart/v1/cart_pb";
import type { Id } from "@mall/kernel/id";
import type { Actor } from "@mall/kernel/identity/actor";
import { requestKey, statusKey } from "@mall/kernel/rpc/context";
import { type Implementation, implement } from "@mall/kernel/rpc/server";
import { addItem } from "../application/add-item";
import { convertCart } from "../application/convert-cart";
import { createCart } from "../application/create-cart";
import { emptyCart } from "../application/empty-cart";
import { getCart } from "../application/get-cart";
import { getMyCart } from "../application/get-my-cart";
import { lockCart } from "../application/lock-cart";
import { removeItem } from "../application/remove-item";
import { setItemQuantity } from "../application/set-item-quantity";
import { unlockCart } from "../application/unlock-cart";
import type { Deps } from "../deps";
import { cartToMessage } from "./codec";

const actorOf = (context: HandlerContext): Actor => context.values.get(requestKey).actor;

const changeOf = ({ cartId, expectedVersion }: { cartId: string; expectedVersion?: number }) => ({
  cartId: cartId as Id<"cart">,
  expectedVersion,
});

const lineOf = ({ variantId, quantity }: { variantId: string; quantity: number }) => ({
  variantId: variantId as Id<"var">,
  quantity,
});

/** CartService on the application's use cases. */
export const cartRpc = (deps: Deps): Implementation =>
  implement(CartService, {
    async createCart(_request, context) {
      const { cart, created, secret } = await createCart(deps)(actorOf(context));
      if (!created) context.values.set(statusKey, 200);
      return { cart: cartToMessage(cart), cartSecret: secret };
    },
    getCart: async (request, context) => ({
      cart: cartToMessage(await getCart(deps)(actorOf(context), request.cartId as Id<"cart">)),
    }),
    getMyCart: async (_request, context) => ({
      cart: cartToMessage(await getMyCart(deps)(actorOf(context).user!.id)),
    }),
    addItem: async (request, context) => ({
      cart: cartToMessage(await addItem(deps)(actorOf(context), changeOf(request), lineOf(request))),
    }),
    setItemQuantity: async (request, context) => ({
      cart: cartToMessage(await setItemQuantity(deps)(actorOf(context), changeOf(request), lineOf(request))),
    }),
    async removeItem(request, context) {
      const variantId = request.variantId as Id<"var">;
      return { cart: cartToMessage(await removeItem(deps)(actorOf(context), changeOf(request), variantId)) };
    },
    emptyCart: async (request, context) => ({
      cart: cartToMessage(await emptyCart(deps)(actorOf(context), changeOf(request))),
    }),
    lockCart: async (request, context) => ({
      items: await lockCart(deps)(
        actorOf(context),
        request.cartId as Id<"cart">,
        request.checkoutId as Id<"chk">,
      ),
    }),
    async unlockCart(request) {
      await unlockCart(deps)(request.cartId as Id<"cart">, request.checkoutId as Id<"chk">);
      return {};
    },
    async convertCart(request) {
      await convertCart(deps)(request.cartId as Id<"cart">, request.checkoutId as Id<"chk">);
      return {};
    },
  });

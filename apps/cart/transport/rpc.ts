import { create, toBinary } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { CartService, CreateCouponResponseSchema } from "@mall/gen/mall/cart/v1/cart_pb";
import type { Id } from "@mall/kernel/id";
import type { Actor } from "@mall/kernel/identity/actor";
import { moneyOf } from "@mall/kernel/money-codec";
import { requestKey, statusKey } from "@mall/kernel/rpc/context";
import { type Answer, ticketKey } from "@mall/kernel/rpc/idempotency";
import { type Implementation, implement } from "@mall/kernel/rpc/server";
import { addItem } from "../application/add-item";
import { applyCoupon } from "../application/apply-coupon";
import { claimCart } from "../application/claim-cart";
import { convertCart } from "../application/convert-cart";
import { createCart } from "../application/create-cart";
import { createCoupon } from "../application/create-coupon";
import { emptyCart } from "../application/empty-cart";
import { getCart } from "../application/get-cart";
import { getCoupon } from "../application/get-coupon";
import { getMyCart } from "../application/get-my-cart";
import { lockCart } from "../application/lock-cart";
import { redeemCoupon } from "../application/redeem-coupon";
import { releaseCoupon } from "../application/release-coupon";
import { removeCoupon } from "../application/remove-coupon";
import { removeItem } from "../application/remove-item";
import { setItemQuantity } from "../application/set-item-quantity";
import { unlockCart } from "../application/unlock-cart";
import type { Deps } from "../deps";
import type { Coupon } from "../domain/coupon";
import { cartToMessage, couponToMessage, endOf } from "./codec";

const actorOf = (context: HandlerContext): Actor => context.values.get(requestKey).actor;

const changeOf = ({ cartId, expectedVersion }: { cartId: string; expectedVersion?: number }) => ({
  cartId: cartId as Id<"cart">,
  expectedVersion,
});

const lineOf = ({ variantId, quantity }: { variantId: string; quantity: number }) => ({
  variantId: variantId as Id<"var">,
  quantity,
});

/** Encodes the answer that the key of a new coupon replays. */
function createdCoupon(coupon: Coupon): Answer {
  const response = create(CreateCouponResponseSchema, { coupon: couponToMessage(coupon) });
  return { kind: "message", status: 201, message: toBinary(CreateCouponResponseSchema, response) };
}

/** What customers do with a cart. */
const shopping = (deps: Deps) =>
  ({
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
    claimCart: async (request, context) => ({
      cart: cartToMessage(await claimCart(deps)(actorOf(context), request.cartId as Id<"cart">)),
    }),
    applyCoupon: async (request, context) => ({
      cart: cartToMessage(await applyCoupon(deps)(actorOf(context), changeOf(request), request.code)),
    }),
    removeCoupon: async (request, context) => ({
      cart: cartToMessage(await removeCoupon(deps)(actorOf(context), changeOf(request))),
    }),
  }) satisfies Partial<ServiceImpl<typeof CartService>>;

/** What staff does with coupons. */
const staff = (deps: Deps) =>
  ({
    async createCoupon({ code, amount, redemptionLimit, expiresAt }, context) {
      const input = { code, amount: moneyOf(amount), redemptionLimit, expiresAt: endOf(expiresAt) };
      const ticket = context.values.get(ticketKey)!;
      return { coupon: couponToMessage(await createCoupon(deps)(input, ticket, createdCoupon)) };
    },
    getCoupon: async ({ code }) => ({ coupon: couponToMessage(await getCoupon(deps)(code)) }),
  }) satisfies Partial<ServiceImpl<typeof CartService>>;

/** What a checkout does. */
const buying = (deps: Deps) =>
  ({
    async lockCart({ cartId, checkoutId }, context) {
      const locked = await lockCart(deps)(actorOf(context), cartId as Id<"cart">, checkoutId as Id<"chk">);
      return { items: locked.lines, coupon: locked.coupon && couponToMessage(locked.coupon) };
    },
    async unlockCart({ cartId, checkoutId }) {
      await unlockCart(deps)(cartId as Id<"cart">, checkoutId as Id<"chk">);
      return {};
    },
    async convertCart({ cartId, checkoutId }) {
      await convertCart(deps)(cartId as Id<"cart">, checkoutId as Id<"chk">);
      return {};
    },
    redeemCoupon: async ({ code, checkoutId }) => ({
      coupon: couponToMessage(await redeemCoupon(deps)(code, checkoutId as Id<"chk">)),
    }),
    async releaseCoupon({ checkoutId }) {
      await releaseCoupon(deps)(checkoutId as Id<"chk">);
      return {};
    },
  }) satisfies Partial<ServiceImpl<typeof CartService>>;

/** CartService on the application's use cases. */
export const cartRpc = (deps: Deps): Implementation =>
  implement(CartService, { ...shopping(deps), ...staff(deps), ...buying(deps) });

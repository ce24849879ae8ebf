import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Address } from "@mall/gen/mall/common/v1/address_pb";
import type { Order } from "@mall/gen/mall/order/v1/order_pb";
import type { Money } from "@mall/kernel/money";
import { moneyOf } from "@mall/kernel/money-codec";
import type { Deps } from "../deps";
import type { Checkout } from "../domain/checkout";
import { interrupted } from "../domain/faults";
import type { Purchase } from "./price";

/** Seconds the sweeper leaves a checkout alone that a request works on. */
export const leaseSeconds = 15;
const callTimeoutMs = 4_000;
/** Options of a call to a neighbour. */
export const call = { timeoutMs: callTimeoutMs };

/** What the steps of one request know and find out. */
export interface Run {
  checkout: Checkout;
  email: string;
  shippingAddress: Address;
  shippingOption: string;
  /** When the hold ends by itself; undefined while the checkout goes on without waiting for the customer. */
  holdUntil?: Date;
  /** When the order is cancelled by itself; undefined while it is being paid. */
  orderUntil?: Date;
  items: { variantId: string; quantity: number }[];
  coupon?: { code: string; amount: Money };
  purchase?: Purchase;
  order?: Order;
}

/**
 * Something a checkout does outside its own tables, with its undo beside it; both are repeatable. An undo also closes
 * the door: a do that arrives after it, late or from a request that was overtaken, is refused by the neighbour.
 */
export interface Step {
  name: string;
  do(deps: Deps, run: Run): Promise<void>;
  undo(deps: Deps, checkout: Checkout): Promise<void>;
}

/** Refuses to begin a step that could still run when the sweeper takes the checkout over. */
export function checkLease(deps: Deps, checkout: Checkout): void {
  if (deps.clock().getTime() + callTimeoutMs < checkout.leaseUntil.getTime()) return;
  throw interrupted();
}

export const lockCart: Step = {
  name: "lock cart",
  async do(deps, run) {
    const { id: checkoutId, cartId } = run.checkout;
    const { items, coupon } = await deps.rpc.cart.lockCart({ cartId, checkoutId }, call);
    run.items = items;
    run.coupon = coupon && { code: coupon.code, amount: moneyOf(coupon.amount) };
  },
  async undo(deps, { cartId, id: checkoutId }) {
    await deps.rpc.cart.unlockCart({ cartId, checkoutId }, call);
  },
};

export const redeemCoupon: Step = {
  name: "redeem coupon",
  async do(deps, { checkout, coupon }) {
    await deps.rpc.cart.redeemCoupon({ code: coupon!.code, checkoutId: checkout.id }, call);
  },
  async undo(deps, { id: checkoutId }) {
    await deps.rpc.cart.releaseCoupon({ checkoutId }, call);
  },
};

export const reserveStock: Step = {
  name: "reserve stock",
  async do(deps, { checkout, items, holdUntil }) {
    const expiresAt = holdUntil && timestampFromDate(holdUntil);
    await deps.rpc.inventory.reserveStock(
      { checkoutId: checkout.id, userId: checkout.userId ?? "", lines: items, expiresAt },
      call,
    );
  },
  async undo(deps, { id: checkoutId }) {
    await deps.rpc.inventory.releaseStock({ checkoutId }, call);
  },
};

export const createOrder: Step = {
  name: "create order",
  async do(deps, run) {
    const { checkout, purchase, email, shippingAddress, shippingOption, orderUntil } = run;
    const { order } = await deps.rpc.order.createOrder(
      {
        orderId: checkout.orderId,
        checkoutId: checkout.id,
        userId: checkout.userId ?? "",
        items: purchase!.lines,
        totals: purchase!.totals,
        email,
        shippingAddress,
        shippingOption,
        expiresAt: orderUntil && timestampFromDate(orderUntil),
      },
      call,
    );
    run.order = order;
  },
  async undo(deps, { orderId, failureReason }) {
    await deps.rpc.order.abandonOrder({ orderId, reason: failureReason }, call);
  },
};

export const pay: Step = {
  name: "pay",
  // done by pay.ts, which has to look at the outcome
  do: async () => {},
  async undo(deps, { paymentId, orderId }) {
    await deps.rpc.payment.voidPayment({ paymentId, orderId }, call);
  },
};

/** All steps in order; they are undone from the last to the first. */
export const steps: readonly Step[] = [lockCart, redeemCoupon, reserveStock, createOrder, pay];

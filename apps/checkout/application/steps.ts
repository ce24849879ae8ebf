import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Address } from "@mall/gen/mall/common/v1/address_pb";
import type { Order } from "@mall/gen/mall/order/v1/order_pb";
import { fault, hasReason } from "@mall/kernel/fault";
import type { Deps } from "../deps";
import type { Checkout } from "../domain/checkout";
import type { Purchase } from "./price";

/** Seconds the sweeper leaves a checkout alone that a request works on. */
export const leaseSeconds = 20;
const callTimeoutMs = 5_000;
const call = { timeoutMs: callTimeoutMs };

/** What the steps of one request know and find out. */
export interface Run {
  checkout: Checkout;
  email: string;
  shippingAddress: Address;
  shippingOption: string;
  /** When the hold ends by itself; undefined while the checkout goes on without waiting for the customer. */
  holdUntil?: Date;
  items: { variantId: string; quantity: number }[];
  purchase?: Purchase;
  order?: Order;
}

/** Something a checkout does outside its own tables, with its undo beside it; both are repeatable. */
export interface Step {
  name: string;
  do(deps: Deps, run: Run): Promise<void>;
  undo(deps: Deps, checkout: Checkout): Promise<void>;
}

/** Refuses to begin a step that could still run when the sweeper takes the checkout over. */
export function checkLease(deps: Deps, checkout: Checkout): void {
  if (deps.clock().getTime() + callTimeoutMs < checkout.leaseUntil.getTime()) return;
  throw fault("unavailable", "CHECKOUT_INTERRUPTED", "The checkout took too long and is undone; try again.", {
    retryAfterSeconds: 1,
  });
}

const lockCart: Step = {
  name: "lock cart",
  async do(deps, run) {
    const { id: checkoutId, cartId } = run.checkout;
    run.items = (await deps.rpc.cart.lockCart({ cartId, checkoutId }, call)).items;
  },
  async undo(deps, { cartId, id: checkoutId }) {
    await deps.rpc.cart.unlockCart({ cartId, checkoutId }, call);
  },
};

const reserveStock: Step = {
  name: "reserve stock",
  async do(deps, run) {
    const expiresAt = run.holdUntil && timestampFromDate(run.holdUntil);
    await deps.rpc.inventory.reserveStock({ checkoutId: run.checkout.id, lines: run.items, expiresAt }, call);
  },
  async undo(deps, { id: checkoutId }) {
    await deps.rpc.inventory.releaseStock({ checkoutId }, call);
  },
};

const createOrder: Step = {
  name: "create order",
  async do(deps, run) {
    const { checkout, purchase, email, shippingAddress, shippingOption } = run;
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
      },
      call,
    );
    run.order = order;
  },
  async undo(deps, { orderId, failureReason }) {
    try {
      await deps.rpc.order.cancelOrder({ orderId, reason: failureReason }, call);
    } catch (error) {
      if (!hasReason(error, "ORDER_NOT_FOUND")) throw error;
    }
  },
};

const pay: Step = {
  name: "pay",
  // done by pay.ts, which has to look at the outcome
  do: async () => {},
  async undo(deps, { paymentId, orderId }) {
    await deps.rpc.payment.voidPayment({ paymentId, orderId }, call);
  },
};

/** All steps in order; they are undone from the last to the first. */
export const steps: readonly Step[] = [lockCart, reserveStock, createOrder, pay];

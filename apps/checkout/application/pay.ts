import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { CheckoutCompletedSchema } from "@mall/gen/mall/checkout/v1/events_pb";
import type { Order } from "@mall/gen/mall/order/v1/order_pb";
import { type Payment, PaymentState } from "@mall/gen/mall/payment/v1/payment_pb";
import { fault, hasReason } from "@mall/kernel/fault";
import { errorFields } from "@mall/kernel/log";
import { faultAnswer } from "@mall/kernel/rpc/idempotency";
import { findCheckout, moveCheckout } from "../db/checkouts";
import type { CheckoutAnswer, Deps } from "../deps";
import type { Checkout } from "../domain/checkout";
import { compensate, declined } from "./compensate";

export interface PaymentInput {
  method: string;
  token: string;
}

/** Seconds until the sweeper asks again for an outcome that is not known. */
const askAgainSeconds = 1;

/** How a payment of a checkout went. `pending` means that the outcome is not known yet. */
export type PayResult =
  | { kind: "completed"; checkout: Checkout; order: Order }
  | { kind: "pending"; checkout: Checkout };

/** Secret of a guest's order; users need none. */
export const orderSecretOf = (deps: Deps, checkout: Checkout): string | undefined =>
  checkout.userId ? undefined : deps.secrets.secretOf("order", checkout.orderId, 1);

/** Everything after the money: the order is paid, the stock sold, the cart ended. Repeatable; nothing is undone. */
export async function finish(deps: Deps, checkout: Checkout): Promise<PayResult> {
  const { id: checkoutId, orderId, paymentId, cartId } = checkout;
  const [{ order }] = await Promise.all([
    deps.rpc.order.markOrderPaid({ orderId, paymentId }),
    deps.rpc.inventory.claimStock({ checkoutId }),
    deps.rpc.cart.convertCart({ cartId, checkoutId }),
  ]);
  const completed = await deps.db.tx(async (tx) => {
    const moved = await moveCheckout(tx, checkout, "COMPLETED", { owes: undefined }, deps.clock());
    if (!moved) return undefined;
    const data = { checkoutId, orderId };
    await deps.announce(tx, {
      desc: CheckoutCompletedSchema,
      data,
      subject: checkoutId,
      sequence: moved.version,
    });
    if (checkout.owes) {
      const answer: CheckoutAnswer = { checkout: moved, order, orderSecret: orderSecretOf(deps, moved) };
      await deps.answers.settle(tx, checkout.owes, {
        kind: "message",
        ...deps.encodeAnswer(checkout.owes.rpc, answer),
      });
    }
    return moved;
  });
  // the sweeper was faster: its record is the answer
  return {
    kind: "completed",
    checkout: completed ?? (await findCheckout(deps.db, checkoutId))!,
    order: order!,
  };
}

/** Lets a checkout wait for another card after a decline. */
async function awaitAnotherCard(
  deps: Deps,
  checkout: Checkout,
  refusal: ConnectError | undefined,
): Promise<void> {
  await deps.rpc.inventory.extendStock({
    checkoutId: checkout.id,
    expiresAt: timestampFromDate(checkout.expiresAt!),
  });
  await deps.db.tx(async (tx) => {
    const moved = await moveCheckout(tx, checkout, "AWAITING_PAYMENT", { owes: undefined }, deps.clock());
    if (!moved || !checkout.owes) return;
    if (refusal) await deps.answers.settle(tx, checkout.owes, faultAnswer(refusal));
    else await deps.answers.abandon(tx, checkout.owes);
  });
}

/** Ends an attempt that took no money. Throws PAYMENT_DECLINED, or CHECKOUT_INTERRUPTED when nothing was ever sent. */
async function notPaid(deps: Deps, checkout: Checkout, payment: Payment): Promise<never> {
  const refusal =
    payment.state === PaymentState.DECLINED ? declined(checkout, payment.declineCode) : undefined;
  if (checkout.paysAtOnce)
    await compensate(deps, checkout, refusal ? "PAYMENT_DECLINED" : "INTERRUPTED", refusal);
  else await awaitAnotherCard(deps, checkout, refusal);
  throw (
    refusal ??
    fault("unavailable", "CHECKOUT_INTERRUPTED", "The payment did not reach the provider; try again.", {
      retryAfterSeconds: 1,
    })
  );
}

/** Goes on from what is known about the payment. */
async function afterPayment(deps: Deps, checkout: Checkout, payment: Payment): Promise<PayResult> {
  if (payment.state === PaymentState.CAPTURED) return finish(deps, checkout);
  if (payment.state !== PaymentState.PROCESSING) return notPaid(deps, checkout, payment);
  return pending(deps, checkout);
}

async function pending(deps: Deps, checkout: Checkout): Promise<PayResult> {
  const now = deps.clock();
  const leaseUntil = new Date(now.getTime() + askAgainSeconds * 1000);
  const waiting = await moveCheckout(deps.db, checkout, checkout.state, { leaseUntil }, now);
  return { kind: "pending", checkout: waiting ?? checkout };
}

const authorize = (deps: Deps, checkout: Checkout, input: PaymentInput) =>
  deps.rpc.payment.authorizePayment({
    paymentId: checkout.paymentId,
    orderId: checkout.orderId,
    userId: checkout.userId ?? "",
    amount: checkout.total,
    ...input,
    capture: true,
  });

/** Whether an error says that the payment service refused, so that nothing was sent to the provider. */
const isRefusal = (error: unknown): boolean =>
  ConnectError.from(error).code === Code.InvalidArgument || hasReason(error, "PAYMENT_IN_PROGRESS");

/**
 * Takes the money of a checkout that is ORDERED, then finishes or undoes it. An outcome that is not known is never
 * taken for a decline: the result is pending, and the sweeper asks again.
 */
export async function pay(deps: Deps, checkout: Checkout, input: PaymentInput): Promise<PayResult> {
  let payment: Payment;
  try {
    payment = (await authorize(deps, checkout, input)).payment!;
  } catch (error) {
    if (isRefusal(error)) {
      if (checkout.paysAtOnce) await compensate(deps, checkout, "PAYMENT_REFUSED", error);
      else await awaitAnotherCard(deps, checkout, undefined);
      throw error;
    }
    deps.log("warn", "payment service did not answer", { checkoutId: checkout.id, ...errorFields(error) });
    return pending(deps, checkout);
  }
  return settled(deps, checkout, () => afterPayment(deps, checkout, payment));
}

/** After the money a failure is no refusal: the sweeper finishes what could not be finished here. */
async function settled(deps: Deps, checkout: Checkout, run: () => Promise<PayResult>): Promise<PayResult> {
  try {
    return await run();
  } catch (error) {
    const reason = hasReason(error, "PAYMENT_DECLINED") || hasReason(error, "CHECKOUT_INTERRUPTED");
    if (reason) throw error;
    deps.log("warn", "checkout not finished yet", { checkoutId: checkout.id, ...errorFields(error) });
    return pending(deps, checkout);
  }
}

/** Asks what became of the payment of a checkout that was left ORDERED; an attempt that never began is closed. */
export async function resumePayment(deps: Deps, checkout: Checkout): Promise<PayResult> {
  const { paymentId, orderId } = checkout;
  let payment: Payment;
  try {
    payment = (await authorize(deps, checkout, { method: "resume", token: "" })).payment!;
  } catch (error) {
    if (!hasReason(error, "PAYMENT_NOT_FOUND")) throw error;
    payment = (await deps.rpc.payment.voidPayment({ paymentId, orderId })).payment!;
  }
  return afterPayment(deps, checkout, payment);
}

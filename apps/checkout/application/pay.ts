import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { CheckoutCompletedSchema } from "@mall/gen/mall/checkout/v1/events_pb";
import type { Order } from "@mall/gen/mall/order/v1/order_pb";
import { type Payment, PaymentState } from "@mall/gen/mall/payment/v1/payment_pb";
import { asking } from "@mall/kernel/breaker";
import { hasReason } from "@mall/kernel/fault";
import { errorFields } from "@mall/kernel/log";
import { serviceSign, unreachable, wasNeverSent } from "@mall/kernel/registry/unreachable";
import { faultAnswer } from "@mall/kernel/rpc/idempotency";
import { later } from "@mall/kernel/time";
import { findCheckout, moveCheckout } from "../db/checkouts";
import type { CheckoutAnswer, Deps } from "../deps";
import { type Checkout, endSequence } from "../domain/checkout";
import { declined, ended, interrupted } from "../domain/faults";
import { compensate } from "./compensate";
import { orderOf } from "./get-checkout";
import { call, pay as payStep, steps } from "./steps";

export interface PaymentInput {
  method: string;
  token: string;
}

/** Seconds until the sweeper asks again for an outcome that is not known. */
const askAgainSeconds = 1;
/** The provider is asked inside this call, perhaps twice, so it may take longer than others. */
const payCall = { timeoutMs: 10_000 };

/** How a payment of a checkout went. `pending` means that the outcome is not known yet. */
export type PayResult =
  | { kind: "completed"; checkout: Checkout; order: Order }
  | { kind: "pending"; checkout: Checkout };

/** Secret of a guest's order; users need none. */
export const orderSecretOf = (deps: Deps, checkout: Checkout): string | undefined =>
  checkout.userId ? undefined : deps.secrets.secretOf("order", checkout.orderId, 1);

/** Sells the units of a paid order. When it was cancelled since, they are back on the shelf already. */
async function claim(deps: Deps, checkout: Checkout): Promise<void> {
  try {
    await deps.rpc.inventory.claimStock({ checkoutId: checkout.id }, call);
  } catch (error) {
    const order = hasReason(error, "HOLD_ENDED") ? await orderOf(deps, checkout) : undefined;
    if (order?.paidAt === undefined || order.cancelledAt === undefined) throw error;
  }
}

/** The order refused the money, which cannot happen while BeginOrderPayment holds it: the money goes back. */
async function orderRefused(deps: Deps, checkout: Checkout): Promise<never> {
  await compensate(deps, checkout, "ORDER_CANCELLED");
  throw ended("FAILED");
}

async function markPaid(deps: Deps, checkout: Checkout): Promise<Order> {
  const { orderId, paymentId } = checkout;
  try {
    return (await deps.rpc.order.markOrderPaid({ orderId, paymentId }, call)).order!;
  } catch (error) {
    if (hasReason(error, "ORDER_STATE_INVALID")) return orderRefused(deps, checkout);
    throw error;
  }
}

/** Everything after the money: the order is paid, the stock sold, the cart ended. Repeatable; nothing is undone. */
export async function finish(deps: Deps, checkout: Checkout): Promise<PayResult> {
  const { id: checkoutId, orderId, cartId } = checkout;
  const order = await markPaid(deps, checkout);
  await Promise.all([claim(deps, checkout), deps.rpc.cart.convertCart({ cartId, checkoutId }, call)]);
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
    order,
  };
}

/** Lets a checkout wait for another card after a decline; when its time is over meanwhile, it is undone. */
async function awaitAnotherCard(
  deps: Deps,
  checkout: Checkout,
  refusal: ConnectError | undefined,
): Promise<void> {
  const { id: checkoutId, orderId } = checkout;
  const expiresAt = timestampFromDate(checkout.expiresAt!);
  const sequence = endSequence(checkout);
  try {
    await Promise.all([
      deps.rpc.order.endOrderPayment({ orderId, expiresAt, sequence }, call),
      deps.rpc.inventory.extendStock({ checkoutId, expiresAt, sequence }, call),
    ]);
  } catch (error) {
    if (!isOver(error)) throw error;
    return compensate(deps, checkout, "EXPIRED", refusal);
  }
  await deps.db.tx(async (tx) => {
    const moved = await moveCheckout(tx, checkout, "AWAITING_PAYMENT", { owes: undefined }, deps.clock());
    if (!moved || !checkout.owes) return;
    if (refusal) await deps.answers.settle(tx, checkout.owes, faultAnswer(refusal));
    else await deps.answers.abandon(tx, checkout.owes);
  });
}

/** Whether the order or the hold of a checkout has ended, by cancellation or by time. */
export const isOver = (error: unknown): boolean =>
  hasReason(error, "ORDER_STATE_INVALID", "ORDER_NOT_FOUND", "HOLD_EXPIRED", "HOLD_ENDED", "HOLD_NOT_FOUND");

/** Ends an attempt that took no money. Throws PAYMENT_DECLINED, or CHECKOUT_INTERRUPTED when nothing was ever sent. */
async function notPaid(deps: Deps, checkout: Checkout, payment: Payment): Promise<never> {
  const refusal =
    payment.state === PaymentState.DECLINED ? declined(checkout, payment.declineCode) : undefined;
  if (checkout.paysAtOnce)
    await compensate(deps, checkout, refusal ? "PAYMENT_DECLINED" : "INTERRUPTED", refusal);
  else await awaitAnotherCard(deps, checkout, refusal);
  throw refusal ?? interrupted();
}

/** Takes the money that was only promised, and goes on from there. */
async function capture(deps: Deps, checkout: Checkout): Promise<PayResult> {
  const { payment } = await deps.rpc.payment.capturePayment({ paymentId: checkout.paymentId }, payCall);
  return payment!.state === PaymentState.AUTHORIZED
    ? pending(deps, checkout)
    : afterPayment(deps, checkout, payment!);
}

/** Goes on from what is known about the payment. */
async function afterPayment(deps: Deps, checkout: Checkout, payment: Payment): Promise<PayResult> {
  switch (payment.state) {
    case PaymentState.PROCESSING:
      return pending(deps, checkout);
    case PaymentState.AUTHORIZED:
      return capture(deps, checkout);
    case PaymentState.CAPTURED:
      return finish(deps, checkout);
    case PaymentState.REFUNDED: {
      // paid, and its money went back since: the checkout is as complete as it would be before that
      const wasPaid = (await orderOf(deps, checkout))?.paidAt !== undefined;
      return wasPaid ? finish(deps, checkout) : notPaid(deps, checkout, payment);
    }
    default:
      return notPaid(deps, checkout, payment);
  }
}

/** Leaves a checkout whose payment is not known yet to the sweeper. */
export async function pending(deps: Deps, checkout: Checkout): Promise<PayResult> {
  const now = deps.clock();
  const leaseUntil = later(now, askAgainSeconds);
  const waiting = await moveCheckout(deps.db, checkout, checkout.state, { leaseUntil }, now);
  return { kind: "pending", checkout: waiting ?? checkout };
}

const authorize = (deps: Deps, checkout: Checkout, input: PaymentInput) =>
  deps.rpc.payment.authorizePayment(
    {
      paymentId: checkout.paymentId,
      orderId: checkout.orderId,
      userId: checkout.userId ?? "",
      amount: checkout.total,
      ...input,
      capture: true,
    },
    payCall,
  );

/** Whether an error says that the payment service refused, so that nothing was sent to the provider. */
const isRefusal = (error: unknown): boolean =>
  ConnectError.from(error).code === Code.InvalidArgument ||
  hasReason(error, "PAYMENT_IN_PROGRESS") ||
  isClosed(error);

/** Ends an attempt that the payment service never saw: there is no payment to close, so nothing has to wait for it. */
async function unsent(deps: Deps, checkout: Checkout, error: unknown): Promise<never> {
  const begun = steps.filter((step) => step !== payStep);
  if (checkout.paysAtOnce) await compensate(deps, checkout, "PAYMENT_UNAVAILABLE", error, begun);
  else await awaitAnotherCard(deps, checkout, undefined);
  throw error;
}

/**
 * Fault SERVICE_UNAVAILABLE, before anything is reserved, while the payment service has not answered several times. The
 * one purchase a second that finds out whether it does again is the first that comes to `pay`, not one with an empty cart.
 */
export function checkPayments({ payments }: Pick<Deps, "payments">): void {
  if (!payments.isDue) throw unreachable("payment", false);
}

/** Whether the payment or its order was undone before the attempt arrived: the sweeper took the checkout over. */
const isClosed = (error: unknown): boolean => hasReason(error, "PAYMENT_EXISTS", "PAYMENT_STATE_INVALID");

/**
 * Takes the money of a checkout that is ORDERED, then finishes or undoes it. An outcome that is not known is never
 * taken for a decline: the result is pending, and the sweeper asks again.
 */
export async function pay(deps: Deps, checkout: Checkout, input: PaymentInput): Promise<PayResult> {
  if (!deps.payments.mayTry()) return unsent(deps, checkout, unreachable("payment", false));
  let payment: Payment;
  try {
    const asked = await asking(deps.payments, () => authorize(deps, checkout, input), serviceSign);
    payment = asked.payment!;
  } catch (error) {
    if (wasNeverSent(error, "payment")) return unsent(deps, checkout, error);
    if (isRefusal(error)) {
      if (checkout.paysAtOnce) await compensate(deps, checkout, "PAYMENT_REFUSED", error);
      else await awaitAnotherCard(deps, checkout, undefined);
      throw isClosed(error) ? interrupted() : error;
    }
    deps.log("warn", "payment service did not answer", { checkoutId: checkout.id, ...errorFields(error) });
    return pending(deps, checkout);
  }
  return settled(deps, checkout, () => afterPayment(deps, checkout, payment));
}

/** Whether an error is how a payment ended, not a failure on the way. */
export const isOutcome = (error: unknown): boolean =>
  hasReason(error, "PAYMENT_DECLINED", "CHECKOUT_INTERRUPTED", "CHECKOUT_STATE_INVALID");

/** After the money a failure is no refusal: the sweeper finishes what could not be finished here. */
async function settled(deps: Deps, checkout: Checkout, run: () => Promise<PayResult>): Promise<PayResult> {
  try {
    return await run();
  } catch (error) {
    if (isOutcome(error)) throw error;
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
    payment = (await deps.rpc.payment.voidPayment({ paymentId, orderId }, payCall)).payment!;
  }
  deps.payments.succeeded();
  return afterPayment(deps, checkout, payment);
}

import { hasReason } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Actor } from "@mall/kernel/identity/actor";
import { refOf, type Ticket } from "@mall/kernel/rpc/idempotency";
import { later } from "@mall/kernel/time";
import { findCheckout, moveCheckout } from "../db/checkouts";
import type { Deps } from "../deps";
import { beginSequence, type Checkout } from "../domain/checkout";
import { ended, expired, inProgress } from "../domain/faults";
import { compensate } from "./compensate";
import { heldCheckout, orderOf } from "./get-checkout";
import { checkPayments, isOver, type PaymentInput, pay, pending } from "./pay";
import type { Placed } from "./place-order";
import { call, checkLease, leaseSeconds } from "./steps";

/** Faults: CHECKOUT_EXPIRED, CHECKOUT_IN_PROGRESS while a payment runs, CHECKOUT_STATE_INVALID when it has ended. */
function checkPayable(deps: Deps, checkout: Checkout): void {
  if (checkout.state === "AWAITING_PAYMENT") {
    if (checkout.expiresAt && checkout.expiresAt <= deps.clock()) throw expired();
    return;
  }
  if (checkout.state === "COMPLETED" || checkout.state === "FAILED" || checkout.state === "COMPENSATING") {
    throw ended(checkout.state);
  }
  throw inProgress();
}

/** Takes the key and the right to pay: of several requests one wins. */
async function begin(deps: Deps, checkout: Checkout, ticket: Ticket): Promise<Checkout> {
  return deps.db.tx(async (tx) => {
    await deps.answers.take(tx, ticket);
    const leaseUntil = later(deps.clock(), leaseSeconds);
    const change = { paymentId: deps.newId("pay"), owes: refOf(ticket), leaseUntil };
    const paying = await moveCheckout(tx, checkout, "ORDERED", change, deps.clock());
    if (!paying) {
      // somebody was faster: a payment, or the end of the order
      checkPayable(deps, (await findCheckout(tx, checkout.id)) ?? checkout);
      throw inProgress();
    }
    return paying;
  });
}

/**
 * Takes the order and the hold out of the reach of expiry and cancellation. Fault CHECKOUT_EXPIRED, with everything
 * undone, when one of them has ended.
 */
async function pin(deps: Deps, checkout: Checkout): Promise<void> {
  const { id: checkoutId, orderId } = checkout;
  const sequence = beginSequence(checkout);
  try {
    await Promise.all([
      deps.rpc.order.beginOrderPayment({ orderId, sequence }, call),
      deps.rpc.inventory.extendStock({ checkoutId, sequence }, call),
    ]);
  } catch (error) {
    if (hasReason(error, "OVERTAKEN")) throw inProgress();
    if (!isOver(error)) {
      await pending(deps, checkout);
      throw error;
    }
    await compensate(deps, checkout, "EXPIRED");
    throw expired();
  }
}

/** Pays a checkout that awaits payment. No money moves before its order and its units are held for good. */
export const payCheckout =
  (deps: Deps) =>
  async (actor: Actor, id: Id<"chk">, input: PaymentInput, ticket: Ticket): Promise<Placed> => {
    const waiting = await heldCheckout(deps, actor, id);
    checkPayable(deps, waiting);
    checkPayments(deps);
    const paying = await begin(deps, waiting, ticket);
    await pin(deps, paying);
    checkLease(deps, paying);
    const result = await pay(deps, paying, input);
    const order = result.kind === "completed" ? result.order : await orderOf(deps, paying);
    return { checkout: result.checkout, order, pending: result.kind === "pending" };
  };

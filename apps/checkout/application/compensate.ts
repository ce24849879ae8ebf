import type { ConnectError } from "@connectrpc/connect";
import { CheckoutFailedSchema } from "@mall/gen/mall/checkout/v1/events_pb";
import { fault } from "@mall/kernel/fault";
import { errorFields } from "@mall/kernel/log";
import { faultAnswer, isStoredRefusal } from "@mall/kernel/rpc/idempotency";
import { moveCheckout } from "../db/checkouts";
import type { Deps } from "../deps";
import type { Checkout } from "../domain/checkout";
import { leaseSeconds, steps } from "./steps";

/** Fault PAYMENT_DECLINED (402) of a checkout. */
export const declined = (checkout: Checkout, declineCode: string): ConnectError =>
  fault("failed_precondition", "PAYMENT_DECLINED", "The payment was declined; nothing was charged.", {
    metadata: { checkoutId: checkout.id, orderId: checkout.orderId, declineCode },
  });

/** The refusal an undone checkout owes to its key; after a crash only a decline is still known. */
const refusalOf = (checkout: Checkout, error: unknown): ConnectError | undefined => {
  if (isStoredRefusal(error)) return error as ConnectError;
  return checkout.failureReason === "PAYMENT_DECLINED" ? declined(checkout, "") : undefined;
};

async function finishUndone(deps: Deps, checkout: Checkout, error: unknown): Promise<void> {
  await deps.db.tx(async (tx) => {
    const failed = await moveCheckout(tx, checkout, "FAILED", { owes: undefined }, deps.clock());
    if (!failed) return;
    const { id, failureReason: reason, version: sequence } = failed;
    await deps.announce(tx, {
      desc: CheckoutFailedSchema,
      data: { checkoutId: id, reason },
      subject: id,
      sequence,
    });
    if (!checkout.owes) return;
    const refusal = refusalOf(checkout, error);
    if (refusal) await deps.answers.settle(tx, checkout.owes, faultAnswer(refusal));
    else await deps.answers.abandon(tx, checkout.owes);
  });
}

/**
 * Undoes what a checkout did: the first `begun` steps, all of them when that is not known. What fails here is left
 * COMPENSATING, and the sweeper goes on with it.
 */
export async function compensate(
  deps: Deps,
  checkout: Checkout,
  reason: string,
  error?: unknown,
  begun = steps.length,
): Promise<void> {
  const now = deps.clock();
  const leaseUntil = new Date(now.getTime() + leaseSeconds * 1000);
  const undoing =
    checkout.state === "COMPENSATING"
      ? checkout
      : await moveCheckout(deps.db, checkout, "COMPENSATING", { failureReason: reason, leaseUntil }, now);
  if (!undoing) return;
  try {
    for (const step of steps.slice(0, begun).toReversed()) await step.undo(deps, undoing);
    await finishUndone(deps, undoing, error);
  } catch (undoError) {
    deps.log("warn", "checkout not undone yet", { checkoutId: checkout.id, ...errorFields(undoError) });
  }
}

import type { ConnectError } from "@connectrpc/connect";
import { CheckoutFailedSchema } from "@mall/gen/mall/checkout/v1/events_pb";
import { errorFields } from "@mall/kernel/log";
import { faultAnswer, isStoredRefusal } from "@mall/kernel/rpc/idempotency";
import { later } from "@mall/kernel/time";
import { moveCheckout } from "../db/checkouts";
import type { Deps } from "../deps";
import type { Checkout } from "../domain/checkout";
import { leaseSeconds, type Step, steps } from "./steps";

/** Seconds until the sweeper tries again what a neighbour could not do. */
export const retrySeconds = 2;

async function finishUndone(deps: Deps, checkout: Checkout): Promise<void> {
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
    if (checkout.refusal) await deps.answers.settle(tx, checkout.owes, checkout.refusal);
    else await deps.answers.abandon(tx, checkout.owes);
  });
}

/**
 * Undoes what a checkout did: the steps that were begun, all of them when that is not known. What fails here is left
 * COMPENSATING, and the sweeper goes on with it. A refusal that the key of the request must replay is stored first.
 */
export async function compensate(
  deps: Deps,
  checkout: Checkout,
  reason: string,
  error?: unknown,
  begun: readonly Step[] = steps,
): Promise<void> {
  const now = deps.clock();
  const leaseUntil = later(now, leaseSeconds);
  const refusal = isStoredRefusal(error) ? faultAnswer(error as ConnectError) : undefined;
  const undoing =
    checkout.state === "COMPENSATING"
      ? checkout
      : await moveCheckout(
          deps.db,
          checkout,
          "COMPENSATING",
          { failureReason: reason, refusal, leaseUntil },
          now,
        );
  if (!undoing) return;
  try {
    for (const step of begun.toReversed()) await step.undo(deps, undoing);
    await finishUndone(deps, undoing);
  } catch (undoError) {
    deps.log("warn", "checkout not undone yet", { checkoutId: checkout.id, ...errorFields(undoError) });
    const retryAt = later(deps.clock(), retrySeconds);
    await moveCheckout(deps.db, undoing, "COMPENSATING", { leaseUntil: retryAt }, deps.clock());
  }
}

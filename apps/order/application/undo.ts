import { errorFields } from "@mall/kernel/log";
import { later } from "@mall/kernel/time";
import { leaseUndos, settleUndo, type Undo } from "../db/due-orders";
import type { Deps } from "../deps";

const call = { timeoutMs: 5_000 };
/** Longer than the calls may take, so that nobody else begins them meanwhile; they would do no harm. */
const leaseSeconds = 15;
const backoffSecondsMax = 10;
const ordersPerBatch = 20;
const batchesMax = 3;

/** Until when units and money of an order are the business of whoever takes it up now. */
export const undoLeaseEnd = (now: Date): Date => later(now, leaseSeconds);

/**
 * Sends units and money of a cancelled order back. Both are repeatable; what fails is left to the sweeper, which tries
 * after 1, 2, 4 and 8 seconds, then every 10.
 */
export async function undo(deps: Deps, { orderId, checkoutId, attempts }: Undo): Promise<void> {
  const results = await Promise.allSettled([
    deps.rpc.inventory.restockStock({ checkoutId }, call),
    deps.rpc.payment.voidOrderPayments({ orderId }, call),
  ]);
  const failures = results.filter((result) => result.status === "rejected");
  for (const { reason } of failures)
    deps.log("warn", "cancelled order not undone yet", { orderId, attempts, ...errorFields(reason) });
  const waitSeconds = Math.min(2 ** attempts, backoffSecondsMax);
  const again = failures.length > 0 ? later(deps.clock(), waitSeconds) : undefined;
  try {
    await settleUndo(deps.db, orderId, again);
  } catch (error) {
    deps.log("warn", "cancelled order not settled yet", { orderId, ...errorFields(error) });
  }
}

/** Sends back what earlier attempts left, of each order once a sweep. Safe in many processes at once. */
export async function undoDue(deps: Deps): Promise<void> {
  const begun = deps.clock();
  for (let batch = 0; batch < batchesMax; batch++) {
    const due = await leaseUndos(deps.db, begun, undoLeaseEnd(deps.clock()), ordersPerBatch);
    await Promise.all(due.map((one) => undo(deps, one)));
    if (due.length < ordersPerBatch) return;
  }
}

import { errorFields } from "@mall/kernel/log";
import { leaseUndos, settleUndo, type Undo } from "../db/orders";
import type { Deps } from "../deps";

/** Seconds for which others leave an order alone whose units and money are on their way back. */
export const undoLeaseSeconds = 15;
const retrySeconds = 2;
const call = { timeoutMs: 5_000 };

/** Sends units and money of a cancelled order back. Both are repeatable; what fails is left to the sweeper. */
export async function undo(deps: Deps, { orderId, checkoutId }: Undo): Promise<void> {
  const results = await Promise.allSettled([
    deps.rpc.inventory.restockStock({ checkoutId }, call),
    deps.rpc.payment.voidOrderPayments({ orderId }, call),
  ]);
  const failed = results.find((result) => result.status === "rejected");
  if (failed) deps.log("warn", "cancelled order not undone yet", { orderId, ...errorFields(failed.reason) });
  const again = new Date(deps.clock().getTime() + retrySeconds * 1000);
  try {
    await settleUndo(deps.db, orderId, failed ? again : undefined);
  } catch (error) {
    deps.log("warn", "cancelled order not settled yet", { orderId, ...errorFields(error) });
  }
}

/** Sends back what earlier attempts left. Safe in many processes at once. */
export async function undoDue(deps: Deps): Promise<void> {
  for (;;) {
    const now = deps.clock();
    const due = await leaseUndos(deps.db, now, new Date(now.getTime() + undoLeaseSeconds * 1000));
    await Promise.all(due.map((one) => undo(deps, one)));
    if (due.length < 20) return;
  }
}

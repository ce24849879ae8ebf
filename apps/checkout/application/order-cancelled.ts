import type { Tx } from "@mall/kernel/db/client";
import type { Id } from "@mall/kernel/id";
import { findCheckout, moveCheckout } from "../db/checkouts";
import type { Deps } from "../deps";

/**
 * The order of a checkout that awaits payment was cancelled: the checkout is to be undone, which the sweeper begins at
 * once. In every other state the checkout has met, or will meet, the cancelled order itself.
 */
export const orderCancelled =
  (deps: Deps) =>
  async (tx: Tx, checkoutId: Id<"chk">, reason: string): Promise<void> => {
    const checkout = await findCheckout(tx, checkoutId);
    if (checkout?.state !== "AWAITING_PAYMENT") return;
    const now = deps.clock();
    const moved = await moveCheckout(
      tx,
      checkout,
      "COMPENSATING",
      { failureReason: reason, leaseUntil: now },
      now,
    );
    if (!moved) throw new Error("the checkout was moved meanwhile; the event comes again");
  };

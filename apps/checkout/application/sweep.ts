import { hasReason } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { errorFields } from "@mall/kernel/log";
import { findCheckout, leaseUnfinished } from "../db/checkouts";
import type { Deps } from "../deps";
import { compensate } from "./compensate";
import { finish, resumePayment } from "./pay";
import { leaseSeconds } from "./steps";

/** Goes on with one checkout from its stored state. */
async function resume(deps: Deps, id: Id<"chk">): Promise<void> {
  const checkout = await findCheckout(deps.db, id);
  switch (checkout?.state) {
    case "STARTED":
    case "RESERVED":
      return compensate(deps, checkout, "INTERRUPTED");
    case "ORDERED":
      await resumePayment(deps, checkout);
      return;
    case "AWAITING_PAYMENT":
      return compensate(deps, checkout, "EXPIRED");
    case "AUTHORIZED":
    case "CAPTURED":
      await finish(deps, checkout);
      return;
    case "COMPENSATING":
      return compensate(deps, checkout, checkout.failureReason);
    default:
  }
}

/** Finishes or undoes every checkout that nobody works on any more, and ends unpaid orders that are due. */
export const sweep = (deps: Deps) => async (): Promise<void> => {
  const now = deps.clock();
  const ids = await leaseUnfinished(deps.db, now, new Date(now.getTime() + leaseSeconds * 1000));
  await Promise.all(
    ids.map((id) =>
      resume(deps, id).catch((error) => {
        if (hasReason(error, "PAYMENT_DECLINED") || hasReason(error, "CHECKOUT_INTERRUPTED")) return;
        deps.log("warn", "checkout not resumed", { checkoutId: id, ...errorFields(error) });
      }),
    ),
  );
};

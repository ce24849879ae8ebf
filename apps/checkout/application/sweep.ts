import type { Id } from "@mall/kernel/id";
import { errorFields } from "@mall/kernel/log";
import { later } from "@mall/kernel/time";
import { findCheckout, leaseUnfinished, shortenLease } from "../db/checkouts";
import type { Deps } from "../deps";
import { compensate, retrySeconds } from "./compensate";
import { finish, isOutcome, resumePayment } from "./pay";
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

/** Goes on with one checkout; what fails is tried again soon, not only when the lease has run out. */
async function tryResume(deps: Deps, id: Id<"chk">, leaseUntil: Date): Promise<void> {
  try {
    await resume(deps, id);
  } catch (error) {
    if (isOutcome(error)) return;
    deps.log("warn", "checkout not resumed", { checkoutId: id, ...errorFields(error) });
    await shortenLease(deps.db, id, leaseUntil, later(deps.clock(), retrySeconds));
  }
}

/** Finishes or undoes every checkout that nobody works on any more, and ends unpaid orders that are due. */
export const sweep = (deps: Deps) => async (): Promise<void> => {
  for (;;) {
    const now = deps.clock();
    const leaseUntil = later(now, leaseSeconds);
    const ids = await leaseUnfinished(deps.db, now, leaseUntil);
    await Promise.all(ids.map((id) => tryResume(deps, id, leaseUntil)));
    if (ids.length < 20) return;
  }
};

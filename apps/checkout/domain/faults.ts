import { fault } from "@mall/kernel/fault";
import type { Checkout, CheckoutState } from "./checkout";

/** A checkout that could not go on and is undone, or waits again; nothing was charged. */
export const interrupted = () =>
  fault(
    "unavailable",
    "CHECKOUT_INTERRUPTED",
    "The checkout was interrupted, nothing was charged; try again.",
    {
      retryAfterSeconds: 1,
    },
  );

/** A checkout that was not paid in time. */
export const expired = () =>
  fault(
    "failed_precondition",
    "CHECKOUT_EXPIRED",
    "The order was not paid in time; its units are no longer held.",
  );

/** A checkout that another request works on. */
export const inProgress = () =>
  fault("aborted", "CHECKOUT_IN_PROGRESS", "A payment of this checkout is being worked on.", {
    retryAfterSeconds: 1,
  });

/** A checkout that has ended, or is about to, and cannot be paid. */
export const ended = (state: CheckoutState) =>
  fault("failed_precondition", "CHECKOUT_STATE_INVALID", `A checkout that is ${state} cannot be paid.`, {
    metadata: { state },
  });

/** The provider refused the money of a checkout (402). */
export const declined = (checkout: Checkout, declineCode: string) =>
  fault("failed_precondition", "PAYMENT_DECLINED", "The payment was declined; nothing was charged.", {
    metadata: { checkoutId: checkout.id, orderId: checkout.orderId, declineCode },
  });

import type { Interceptor } from "@connectrpc/connect";
import { CheckoutService } from "@mall/gen/mall/checkout/v1/checkout_pb";
import { turnstile } from "@mall/kernel/concurrency";
import { fault } from "@mall/kernel/fault";

const { placeOrder, payCheckout } = CheckoutService.method;

const overloaded = () =>
  fault(
    "unavailable",
    "OVERLOADED",
    "More checkouts at once than this mall takes; nothing was reserved, try again.",
    { retryAfterSeconds: 1 },
  );

const closed = () =>
  fault("unavailable", "CHECKOUT_CLOSED", "Nothing can be bought at the moment; nothing was reserved.", {
    retryAfterSeconds: 60,
  });

/**
 * Lets purchases in as long as `isOpen`, else refuses them with CHECKOUT_CLOSED (503, Retry-After 60 s). Lets at most
 * `limit()` purchases of this instance run at once. What comes beyond is shed at once with OVERLOADED (503,
 * Retry-After 1 s), before it has done anything: a queue would only make everybody wait. Replays of a key count too:
 * telling them apart would cost what a peak must not cost.
 */
export function purchaseAdmission(limit: () => number, isOpen: () => boolean): Interceptor {
  const admit = turnstile(limit, { waitingMax: 0, refuse: overloaded });
  return (next) => async (request) => {
    if (request.method !== placeOrder && request.method !== payCheckout) return next(request);
    if (!isOpen()) throw closed();
    return admit(() => next(request));
  };
}

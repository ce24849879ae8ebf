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

/**
 * Lets at most `limit` purchases of this instance run at once. What comes beyond is shed at once with OVERLOADED (503,
 * Retry-After 1 s), before it has done anything: a queue would only make everybody wait. Replays of a key count too:
 * telling them apart would cost what a peak must not cost.
 */
export function purchaseAdmission(limit: number): Interceptor {
  const admit = turnstile(limit, { waitingMax: 0, refuse: overloaded });
  return (next) => (request) =>
    request.method === placeOrder || request.method === payCheckout
      ? admit(() => next(request))
      : next(request);
}

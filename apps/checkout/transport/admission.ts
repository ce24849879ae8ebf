import type { Interceptor } from "@connectrpc/connect";
import { CheckoutService } from "@mall/gen/mall/checkout/v1/checkout_pb";
import { admission } from "../application/admit";

const { placeOrder, payCheckout } = CheckoutService.method;

/**
 * Lets at most `limit` purchases of this instance run at once. Replays of a key count too: telling them apart would cost
 * what a peak must not cost.
 */
export function purchaseAdmission(limit: number): Interceptor {
  const admit = admission(limit);
  return (next) => (request) =>
    request.method === placeOrder || request.method === payCheckout
      ? admit(() => next(request))
      : next(request);
}

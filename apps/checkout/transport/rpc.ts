import type { HandlerContext } from "@connectrpc/connect";
import { CheckoutService } from "@mall/gen/mall/checkout/v1/checkout_pb";
import type { Id } from "@mall/kernel/id";
import { moneyOf } from "@mall/kernel/money-codec";
import { requestKey, statusKey } from "@mall/kernel/rpc/context";
import { ticketKey } from "@mall/kernel/rpc/idempotency";
import { type Implementation, implement } from "@mall/kernel/rpc/server";
import { getCheckout } from "../application/get-checkout";
import { payCheckout } from "../application/pay-checkout";
import { type Placed, placeOrder } from "../application/place-order";
import { quoteCheckout } from "../application/quote-checkout";
import type { Deps } from "../deps";
import { checkoutToMessage, payCheckoutResponse, placeOrderResponse } from "./codec";

/** An outcome that is not known yet answers 202 and is never stored. */
function accepted(context: HandlerContext, placed: Placed): Placed {
  if (placed.pending) {
    context.values.set(statusKey, 202);
    context.responseHeader.set("retry-after", "1");
  }
  return placed;
}

/** CheckoutService on the application's use cases. */
export const checkoutRpc = (deps: Deps): Implementation =>
  implement(CheckoutService, {
    async quoteCheckout({ cartId, shippingAddress, shippingOption }) {
      const quote = await quoteCheckout(deps)(
        cartId as Id<"cart">,
        shippingAddress!,
        shippingOption || "standard",
      );
      const { lines: items, totals, options: shippingOptions, couponCode } = quote;
      return { quote: { items, ...totals, shippingOptions, couponCode } };
    },
    async placeOrder(request, context) {
      const { actor } = context.values.get(requestKey);
      const { email, shippingAddress, shippingOption, payment, expectedTotal } = request;
      const input = {
        cartId: request.cartId as Id<"cart">,
        email,
        shippingAddress: shippingAddress!,
        shippingOption,
        payment: payment && { method: payment.method, token: payment.token },
        expectedTotal: expectedTotal && moneyOf(expectedTotal),
      };
      const ticket = context.values.get(ticketKey)!;
      const placed = await placeOrder(deps)(actor, input, ticket);
      return placeOrderResponse(accepted(context, placed));
    },
    async payCheckout({ checkoutId, payment }, context) {
      const { actor } = context.values.get(requestKey);
      const input = { method: payment!.method, token: payment!.token };
      const ticket = context.values.get(ticketKey)!;
      const paid = await payCheckout(deps)(actor, checkoutId as Id<"chk">, input, ticket);
      return payCheckoutResponse(accepted(context, paid));
    },
    async getCheckout({ checkoutId }, context) {
      const { checkout, order } = await getCheckout(deps)(
        context.values.get(requestKey).actor,
        checkoutId as Id<"chk">,
      );
      return { checkout: checkoutToMessage(checkout), order };
    },
  });

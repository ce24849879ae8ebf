import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Checkout as CheckoutMessage,
  CheckoutSchema,
  CheckoutState,
  type PayCheckoutResponse,
  PayCheckoutResponseSchema,
  type PlaceOrderResponse,
  PlaceOrderResponseSchema,
} from "@mall/gen/mall/checkout/v1/checkout_pb";
import type { CheckoutAnswer } from "../deps";
import type { Checkout } from "../domain/checkout";

/** A checkout of the domain as the contract shows it. */
export const checkoutToMessage = (checkout: Checkout): CheckoutMessage =>
  create(CheckoutSchema, {
    id: checkout.id,
    state: CheckoutState[checkout.state],
    cartId: checkout.cartId,
    orderId: checkout.orderId,
    total: checkout.total,
    failureReason: checkout.failureReason,
    createdAt: timestampFromDate(checkout.createdAt),
    updatedAt: timestampFromDate(checkout.updatedAt),
  });

export const placeOrderResponse = ({ checkout, order, orderSecret }: CheckoutAnswer): PlaceOrderResponse =>
  create(PlaceOrderResponseSchema, { checkout: checkoutToMessage(checkout), order, orderSecret });

export const payCheckoutResponse = ({ checkout, order }: CheckoutAnswer): PayCheckoutResponse =>
  create(PayCheckoutResponseSchema, { checkout: checkoutToMessage(checkout), order });

/** The answer that an Idempotency-Key of an RPC replays. */
export function encodeAnswer(rpc: string, answer: CheckoutAnswer): { status: number; message: Uint8Array } {
  if (rpc === "PlaceOrder")
    return { status: 201, message: toBinary(PlaceOrderResponseSchema, placeOrderResponse(answer)) };
  return { status: 200, message: toBinary(PayCheckoutResponseSchema, payCheckoutResponse(answer)) };
}

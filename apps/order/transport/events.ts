import { PaymentRefundedSchema } from "@mall/gen/mall/payment/v1/events_pb";
import { type Consumer, consumer } from "@mall/kernel/bus/consume";
import type { Id } from "@mall/kernel/id";
import { paymentRefunded } from "../application/payment-refunded";
import type { Deps } from "../deps";

/** Events that the order service listens to. */
export const orderConsumers = (deps: Deps): Consumer[] => [
  consumer(PaymentRefundedSchema, (tx, { orderId, refundedMinor, amountMinor, currency, inFull }) =>
    paymentRefunded(deps)(tx, orderId as Id<"ord">, {
      refundedMinor,
      inFull,
      detail: `${amountMinor} ${currency}`,
    }),
  ),
];

import { PaymentRefundedSchema } from "@mall/gen/mall/payment/v1/events_pb";
import { UserDeletedSchema } from "@mall/gen/mall/user/v1/events_pb";
import { type Consumer, consumer } from "@mall/kernel/bus/consume";
import type { Id } from "@mall/kernel/id";
import { erasePersonal } from "@mall/kernel/personal/erase";
import { paymentRefunded } from "../application/payment-refunded";
import type { Deps } from "../deps";

/** Events that the order service listens to. */
export const orderConsumers = (deps: Deps): Consumer[] => [
  consumer(PaymentRefundedSchema, (tx, data) =>
    paymentRefunded(deps)(tx, data.orderId as Id<"ord">, {
      paymentId: data.paymentId as Id<"pay">,
      total: { currency: data.currency, minor: data.refundedMinor },
      inFull: data.inFull,
      detail: `${data.amountMinor} ${data.currency}`,
    }),
  ),
  consumer(UserDeletedSchema, (tx, data) => erasePersonal(deps)(tx, data.userId as Id<"usr">)),
];

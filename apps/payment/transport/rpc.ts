import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Payment as PaymentMessage,
  PaymentSchema,
  PaymentService,
  PaymentState,
} from "@mall/gen/mall/payment/v1/payment_pb";
import type { Id } from "@mall/kernel/id";
import { moneyOf } from "@mall/kernel/money-codec";
import { requestKey } from "@mall/kernel/rpc/context";
import { type Implementation, implement } from "@mall/kernel/rpc/server";
import { authorizePayment } from "../application/authorize-payment";
import { capturePayment } from "../application/capture-payment";
import { listPayments } from "../application/list-payments";
import { voidPayment } from "../application/void-payment";
import type { Deps } from "../deps";
import type { Payment } from "../domain/payment";

const paymentToMessage = (payment: Payment): PaymentMessage =>
  create(PaymentSchema, {
    id: payment.id,
    orderId: payment.orderId,
    state: PaymentState[payment.state],
    amount: payment.amount,
    provider: payment.provider,
    declineCode: payment.declineCode,
    createdAt: timestampFromDate(payment.createdAt),
    updatedAt: timestampFromDate(payment.updatedAt),
  });

/** PaymentService on the application's use cases. */
export const paymentRpc = (deps: Deps): Implementation =>
  implement(PaymentService, {
    async authorizePayment({ paymentId, orderId, userId, amount, method, token, capture }) {
      const payment = await authorizePayment(deps)({
        ...{ id: paymentId as Id<"pay">, orderId: orderId as Id<"ord">, method, token, capture },
        userId: userId ? (userId as Id<"usr">) : undefined,
        amount: moneyOf(amount),
      });
      return { payment: paymentToMessage(payment) };
    },
    capturePayment: async ({ paymentId }) => ({
      payment: paymentToMessage(await capturePayment(deps)(paymentId as Id<"pay">)),
    }),
    voidPayment: async ({ paymentId, orderId }) => ({
      payment: paymentToMessage(await voidPayment(deps)(paymentId as Id<"pay">, orderId as Id<"ord">)),
    }),
    async listPayments({ orderId }, context) {
      const payments = await listPayments(deps)(context.values.get(requestKey).actor, orderId as Id<"ord">);
      return { payments: payments.map(paymentToMessage) };
    },
  });

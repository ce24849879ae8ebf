import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  CreateRefundResponseSchema,
  type Payment as PaymentMessage,
  PaymentSchema,
  PaymentState,
  type Refund as RefundMessage,
  RefundSchema,
  RefundState,
} from "@mall/gen/mall/payment/v1/payment_pb";
import type { Answer } from "@mall/kernel/rpc/idempotency";
import type { Payment } from "../domain/payment";
import type { Refund } from "../domain/refund";

export const refundToMessage = (refund: Refund): RefundMessage =>
  create(RefundSchema, {
    id: refund.id,
    paymentId: refund.paymentId,
    state: RefundState[refund.state],
    amount: refund.amount,
    reason: refund.reason,
    createdAt: timestampFromDate(refund.createdAt),
    updatedAt: timestampFromDate(refund.updatedAt),
  });

export const paymentToMessage = (payment: Payment, refunds: readonly Refund[] = []): PaymentMessage =>
  create(PaymentSchema, {
    id: payment.id,
    orderId: payment.orderId,
    state: PaymentState[payment.state],
    amount: payment.amount,
    provider: payment.provider,
    declineCode: payment.declineCode,
    createdAt: timestampFromDate(payment.createdAt),
    updatedAt: timestampFromDate(payment.updatedAt),
    refunded: { currency: payment.amount.currency, minor: payment.refunded },
    refunds: refunds.map(refundToMessage),
  });

/** The answer that the key of a refund replays. */
export const refundAnswer = (refund: Refund): Answer => ({
  kind: "message",
  status: 201,
  message: toBinary(
    CreateRefundResponseSchema,
    create(CreateRefundResponseSchema, { refund: refundToMessage(refund) }),
  ),
});

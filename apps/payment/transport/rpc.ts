import { PaymentService } from "@mall/gen/mall/payment/v1/payment_pb";
import { type Id, isId } from "@mall/kernel/id";
import { moneyOf } from "@mall/kernel/money-codec";
import { foreignToken, pagePosition, pageToken } from "@mall/kernel/page-token";
import { requestKey } from "@mall/kernel/rpc/context";
import { ticketKey } from "@mall/kernel/rpc/idempotency";
import { type Implementation, implement } from "@mall/kernel/rpc/server";
import { authorizePayment } from "../application/authorize-payment";
import { capturePayment } from "../application/capture-payment";
import { createRefund } from "../application/create-refund";
import { getPayment } from "../application/get-payment";
import { listPayments } from "../application/list-payments";
import { reconcilePayments } from "../application/reconcile-payments";
import { voidOrderPayments } from "../application/void-order-payments";
import { voidPayment } from "../application/void-payment";
import type { Deps } from "../deps";
import { paymentToMessage, refundToMessage } from "./codec";

const reconcileQuery = "reconcile payments";

function positionOf(token: string): Id<"pay"> | undefined {
  const id = pagePosition(reconcileQuery, token);
  if (id === undefined) return undefined;
  if (!isId(id) || !id.startsWith("pay_")) throw foreignToken();
  return id as Id<"pay">;
}

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
    async voidOrderPayments({ orderId }) {
      await voidOrderPayments(deps)(orderId as Id<"ord">);
      return {};
    },
    async createRefund({ paymentId, amount, reason }, context) {
      const input = { paymentId: paymentId as Id<"pay">, amount: amount && moneyOf(amount), reason };
      const refund = await createRefund(deps)(input, context.values.get(ticketKey)!);
      return { refund: refundToMessage(refund) };
    },
    async getPayment({ paymentId }) {
      const { payment, refunds } = await getPayment(deps)(paymentId as Id<"pay">);
      return { payment: paymentToMessage(payment, refunds) };
    },
    async reconcilePayments({ pageToken: token }) {
      const { checked, differences, next } = await reconcilePayments(deps)(positionOf(token));
      return { checked, differences, nextPageToken: next ? pageToken(reconcileQuery, next) : "" };
    },
    async listPayments({ orderId }, context) {
      const listed = await listPayments(deps)(context.values.get(requestKey).actor, orderId as Id<"ord">);
      return { payments: listed.map(({ payment, refunds }) => paymentToMessage(payment, refunds)) };
    },
  });

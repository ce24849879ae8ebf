import {
  PaymentCapturedSchema,
  PaymentFailedSchema,
  PaymentVoidedSchema,
} from "@mall/gen/mall/payment/v1/events_pb";
import type { Tx } from "@mall/kernel/db/client";
import { findPayment, movePayment } from "../db/payments";
import type { Deps } from "../deps";
import { checkMove, type Payment, type PaymentState } from "../domain/payment";
import type { Outcome } from "../providers/port";

/** The state an outcome of the provider means for a payment. */
function stateOf(outcome: Outcome, payment: Payment): PaymentState {
  if (outcome.kind === "authorized") return "AUTHORIZED";
  if (outcome.kind === "captured") return "CAPTURED";
  if (outcome.kind === "declined") return "DECLINED";
  return payment.state === "CAPTURED" ? "REFUNDED" : "VOIDED";
}

async function announceState(deps: Deps, tx: Tx, payment: Payment): Promise<void> {
  const { id: paymentId, orderId, declineCode, version: sequence } = payment;
  const common = { subject: paymentId, sequence };
  if (payment.state === "CAPTURED") {
    await deps.announce(tx, { desc: PaymentCapturedSchema, data: { paymentId, orderId }, ...common });
  } else if (payment.state === "DECLINED") {
    await deps.announce(tx, {
      desc: PaymentFailedSchema,
      data: { paymentId, orderId, declineCode },
      ...common,
    });
  } else if (payment.state === "VOIDED" || payment.state === "REFUNDED") {
    await deps.announce(tx, { desc: PaymentVoidedSchema, data: { paymentId, orderId }, ...common });
  }
}

/** Records what the provider did; when another request recorded it first, that record stands. */
export async function settle(deps: Deps, payment: Payment, outcome: Outcome): Promise<Payment> {
  const state = stateOf(outcome, payment);
  if (state === payment.state) return payment;
  checkMove(payment, state);
  return deps.db.tx(async (tx) => {
    const declineCode = outcome.kind === "declined" ? outcome.code : undefined;
    const moved = await movePayment(tx, payment, { state, declineCode }, deps.clock());
    if (!moved) return (await findPayment(tx, payment.id))!;
    await announceState(deps, tx, moved);
    return moved;
  });
}

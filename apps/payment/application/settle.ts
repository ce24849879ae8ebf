import {
  PaymentAuthorizedSchema,
  PaymentCapturedSchema,
  PaymentFailedSchema,
  PaymentVoidedSchema,
} from "@mall/gen/mall/payment/v1/events_pb";
import type { Tx } from "@mall/kernel/db/client";
import { changePayment, findPayment } from "../db/payments";
import type { Deps } from "../deps";
import { changeOf, dueOf, type Outcome, type Payment } from "../domain/payment";

const triesMax = 10;

/** Announces the state that a payment has just reached; refunds are announced one by one where they end. */
export async function announceState(deps: Deps, tx: Tx, payment: Payment): Promise<void> {
  const { id: paymentId, orderId, declineCode, version: sequence } = payment;
  const common = { subject: paymentId, sequence };
  const data = { paymentId, orderId };
  if (payment.state === "AUTHORIZED") {
    await deps.announce(tx, { desc: PaymentAuthorizedSchema, data, ...common });
  } else if (payment.state === "CAPTURED") {
    await deps.announce(tx, { desc: PaymentCapturedSchema, data, ...common });
  } else if (payment.state === "DECLINED") {
    await deps.announce(tx, { desc: PaymentFailedSchema, data: { ...data, declineCode }, ...common });
  } else {
    await deps.announce(tx, { desc: PaymentVoidedSchema, data, ...common });
  }
}

/**
 * Records what the provider did, whoever heard of it first: the answer to a call, a webhook or the sweeper. All meet
 * at the version of the one row, and whoever is late finds that there is nothing left to record.
 */
export async function settle(deps: Deps, payment: Payment, outcome: Outcome): Promise<Payment> {
  let current = payment;
  for (let tries = 0; tries < triesMax; tries++) {
    const change = changeOf(current, outcome);
    if (!change) return current;
    const now = deps.clock();
    const dueAt = dueOf({ ...current, ...change }, now, deps.openTtlSeconds);
    const changed = await deps.db.tx(async (tx) => {
      const moved = await changePayment(tx, current, { ...change, dueAt }, now);
      if (moved && moved.state !== current.state) await announceState(deps, tx, moved);
      return moved;
    });
    if (changed) {
      if (changed.state === current.state)
        deps.log("warn", "money was taken for a payment that has ended", { paymentId: payment.id });
      return changed;
    }
    current = (await findPayment(deps.db, payment.id))!;
  }
  throw new Error(`payment ${payment.id} changes too often`);
}

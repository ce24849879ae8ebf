import { audited } from "@mall/kernel/audit/refusal";
import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Money } from "@mall/kernel/money";
import { refOf, type Ticket } from "@mall/kernel/rpc/idempotency";
import { lockPayment } from "../db/payments";
import { lockRefund, reserveRefund } from "../db/refunds";
import type { Deps } from "../deps";
import { flightEnd, type Payment } from "../domain/payment";
import { type Refund, refundable } from "../domain/refund";
import { sendRefund } from "./refund";

export interface CreateRefund {
  paymentId: Id<"pay">;
  /** Everything that is left when absent. */
  amount?: Money;
  reason: string;
}

const action = "CreateRefund";

/** Sets the money aside and takes the key, both or neither. */
async function reserve(
  deps: Deps,
  input: CreateRefund,
  ticket: Ticket,
): Promise<{ payment: Payment; refund: Refund }> {
  return deps.db.tx(async (tx) => {
    await deps.answers.take(tx, ticket);
    const now = deps.clock();
    const payment = await lockPayment(tx, input.paymentId);
    if (!payment || payment.provider !== deps.provider.name) throw notFound("PAYMENT");
    const refund: Refund = {
      ...{ id: deps.newId("ref"), paymentId: payment.id, state: "PENDING", reason: input.reason },
      amount: { currency: payment.amount.currency, minor: refundable(payment, input.amount) },
      ...{ owes: refOf(ticket), attempts: 0, createdAt: now, updatedAt: now },
    };
    await reserveRefund(tx, deps.notes, payment, refund, flightEnd(now));
    const { currency, minor } = refund.amount;
    const metadata = { refundId: refund.id, amountMinor: String(minor), currency };
    await deps.audit.record(tx, { action, subject: payment.id, metadata });
    return { payment, refund };
  });
}

/**
 * Sends money of a captured payment back. The money is set aside before the provider is asked, so that refunds never
 * exceed the payment; the key's answer is written with the outcome, or here when that is not known. Faults:
 * PAYMENT_NOT_FOUND, VALIDATION, PAYMENT_STATE_INVALID, REFUND_EXCEEDS_PAYMENT.
 */
export const createRefund =
  (deps: Deps) =>
  async (input: CreateRefund, ticket: Ticket): Promise<Refund> => {
    const { payment, refund } = await reserve(deps, input, ticket).catch((error) => {
      throw audited(error, { action, subject: input.paymentId });
    });
    const sent = await sendRefund(deps, payment, refund);
    if (sent.state !== "PENDING") return sent;
    return deps.db.tx(async (tx) => {
      // the sweeper may know the outcome by now, and has then written the answer
      const known = (await lockRefund(tx, deps.notes, refund.id))!;
      if (known.state === "PENDING") await deps.answers.settle(tx, ticket, deps.refundAnswer(known));
      return known;
    });
  };

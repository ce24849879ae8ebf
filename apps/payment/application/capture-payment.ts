import { fault, notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { changePayment, findPayment } from "../db/payments";
import type { Deps } from "../deps";
import { flightEnd, type Payment } from "../domain/payment";
import { tryAdvance } from "./advance";

const triesMax = 10;

function checkCapturable(payment: Payment): void {
  if (payment.state === "AUTHORIZED" && !payment.undo) return;
  throw fault(
    "failed_precondition",
    "PAYMENT_STATE_INVALID",
    payment.undo ? "The payment is being undone." : `A payment that is ${payment.state} cannot be captured.`,
    { metadata: { state: payment.state } },
  );
}

/**
 * Takes the money of an authorized payment; a repetition changes nothing. One request asks the provider; meanwhile
 * the others see the payment AUTHORIZED, and so does one whose outcome is not known: the sweeper finishes it. Faults:
 * PAYMENT_NOT_FOUND, PAYMENT_STATE_INVALID.
 */
export const capturePayment =
  (deps: Deps) =>
  async (id: Id<"pay">): Promise<Payment> => {
    for (let tries = 0; tries < triesMax; tries++) {
      const payment = await findPayment(deps.db, id);
      if (!payment) throw notFound("PAYMENT");
      if (payment.state === "CAPTURED") return payment;
      checkCapturable(payment);
      const now = deps.clock();
      if (payment.capture) {
        const isWorkedOn = payment.attempts === 0 && payment.dueAt !== undefined && payment.dueAt > now;
        return isWorkedOn ? payment : tryAdvance(deps, payment);
      }
      const change = { capture: true, dueAt: flightEnd(now) };
      const decided = await changePayment(deps.db, payment, change, now);
      if (decided) return tryAdvance(deps, decided);
    }
    throw new Error(`payment ${id} changes too often`);
  };

import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { findPayment } from "../db/payments";
import { refundsOfPayment } from "../db/refunds";
import type { Deps } from "../deps";
import type { Payment } from "../domain/payment";
import type { Refund } from "../domain/refund";

/** A payment and each time money of it went back, oldest first. */
export interface PaymentWithRefunds {
  payment: Payment;
  refunds: Refund[];
}

/** Reads a payment with its refunds. Fault PAYMENT_NOT_FOUND. */
export const getPayment =
  (deps: Deps) =>
  async (id: Id<"pay">): Promise<PaymentWithRefunds> => {
    const [payment, refunds] = await Promise.all([
      findPayment(deps.db, id),
      refundsOfPayment(deps.db, deps.notes, id),
    ]);
    if (!payment) throw notFound("PAYMENT");
    return { payment, refunds };
  };

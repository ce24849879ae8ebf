import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { findPayment } from "../db/payments";
import type { Deps } from "../deps";
import { checkMove, type Payment } from "../domain/payment";
import { settle } from "./settle";

/** Takes the money of an authorized payment; a repetition changes nothing. */
export const capturePayment =
  (deps: Deps) =>
  async (id: Id<"pay">): Promise<Payment> => {
    const payment = await findPayment(deps.db, id);
    if (!payment) throw notFound("PAYMENT");
    if (payment.state === "CAPTURED") return payment;
    checkMove(payment, "CAPTURED");
    return settle(deps, payment, await deps.provider.capture(payment.id));
  };

import type { Id } from "@mall/kernel/id";
import { findPayment, insertPayment } from "../db/payments";
import type { Deps } from "../deps";
import type { Payment } from "../domain/payment";
import { settle } from "./settle";

/** A payment that never began, stored as VOIDED so that a late AuthorizePayment with its id cannot begin. */
function tombstone(deps: Deps, id: Id<"pay">, orderId: Id<"ord">): Payment {
  const now = deps.clock();
  return {
    ...{
      id,
      orderId,
      state: "VOIDED",
      amount: { currency: deps.currency, minor: 0n },
      provider: deps.provider.name,
    },
    ...{ capture: false, declineCode: "", version: 1, createdAt: now, updatedAt: now },
  };
}

/** Undoes a payment, whatever became of it; a repetition changes nothing. */
export const voidPayment =
  (deps: Deps) =>
  async (id: Id<"pay">, orderId: Id<"ord">): Promise<Payment> => {
    const existing = await findPayment(deps.db, id);
    if (!existing) {
      const closed = tombstone(deps, id, orderId);
      if (await insertPayment(deps.db, closed)) return closed;
    }
    const payment = existing ?? (await findPayment(deps.db, id))!;
    if (payment.state === "DECLINED" || payment.state === "VOIDED" || payment.state === "REFUNDED")
      return payment;
    const known =
      payment.state === "PROCESSING" ? await settle(deps, payment, await deps.provider.resolve(id)) : payment;
    if (known.state !== "AUTHORIZED" && known.state !== "CAPTURED") return known;
    return settle(deps, known, await deps.provider.cancel(id));
  };

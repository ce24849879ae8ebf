import type { Id } from "@mall/kernel/id";
import { findPayment, insertPayment } from "../db/payments";
import type { Deps } from "../deps";
import { newPayment, type Payment } from "../domain/payment";
import { orderUndo, tryAdvance } from "./advance";

/** A payment that never began, stored as VOIDED so that a late AuthorizePayment with its id cannot begin. */
export function tombstone(deps: Deps, id: Id<"pay">, orderId: Id<"ord">): Payment {
  const amount = { currency: deps.currency, minor: 0n };
  const never = newPayment(
    { id, orderId, amount, provider: deps.provider.name, capture: false },
    deps.clock(),
  );
  return { ...never, state: "VOIDED", dueAt: undefined };
}

/**
 * Undoes a payment, whatever became of it; a repetition changes nothing. That it is undone is decided before the
 * provider is asked, and the sweeper goes on with what the provider did not confirm.
 */
export const voidPayment =
  (deps: Deps) =>
  async (id: Id<"pay">, orderId: Id<"ord">): Promise<Payment> => {
    const existing = await findPayment(deps.db, id);
    if (!existing) {
      const closed = tombstone(deps, id, orderId);
      if (await insertPayment(deps.db, closed)) return closed;
    }
    const payment = existing ?? (await findPayment(deps.db, id))!;
    return tryAdvance(deps, await orderUndo(deps, payment));
  };

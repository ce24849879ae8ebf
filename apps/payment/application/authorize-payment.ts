import { fault, notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { errorFields } from "@mall/kernel/log";
import { equals, type Money } from "@mall/kernel/money";
import { findPayment, insertPayment } from "../db/payments";
import type { Deps } from "../deps";
import type { Payment } from "../domain/payment";
import type { Outcome } from "../providers/port";
import { settle } from "./settle";

export interface AuthorizePayment {
  id: Id<"pay">;
  orderId: Id<"ord">;
  userId?: Id<"usr">;
  amount: Money;
  method: string;
  /** Empty to ask for the outcome of an attempt that was sent before. */
  token: string;
  capture: boolean;
}

/** Asks the provider; an outcome that is not known leaves the payment PROCESSING. */
async function ask(deps: Deps, payment: Payment, call: () => Promise<Outcome>): Promise<Payment> {
  let outcome: Outcome;
  try {
    outcome = await call();
  } catch (error) {
    deps.log("warn", "payment outcome unknown", { paymentId: payment.id, ...errorFields(error) });
    return payment;
  }
  return settle(deps, payment, outcome);
}

async function repeated(deps: Deps, input: AuthorizePayment, payment: Payment): Promise<Payment> {
  if (payment.orderId !== input.orderId || !equals(payment.amount, input.amount)) {
    throw fault("already_exists", "PAYMENT_EXISTS", "Another payment has this id.");
  }
  if (payment.state !== "PROCESSING") return payment;
  return ask(deps, payment, () => deps.provider.resolve(payment.id));
}

/**
 * Begins a payment, or tells what became of one that began before. Faults: PAYMENT_METHOD_UNKNOWN,
 * PAYMENT_IN_PROGRESS when the order has another live payment, PAYMENT_NOT_FOUND without a token.
 */
export const authorizePayment =
  (deps: Deps) =>
  async (input: AuthorizePayment): Promise<Payment> => {
    const existing = input.token === "" ? await findPayment(deps.db, input.id) : undefined;
    if (existing) return repeated(deps, input, existing);
    if (input.token === "") throw notFound("PAYMENT");
    if (input.method !== deps.provider.name) {
      throw fault(
        "invalid_argument",
        "PAYMENT_METHOD_UNKNOWN",
        `There is no payment method "${input.method}".`,
        {
          violations: [{ pointer: "#/payment/method", detail: `must be "${deps.provider.name}"` }],
        },
      );
    }
    const now = deps.clock();
    const { id, orderId, userId, amount, capture, token } = input;
    const payment: Payment = {
      ...{ id, orderId, userId, amount, capture, provider: deps.provider.name },
      ...{ state: "PROCESSING", declineCode: "", version: 1, createdAt: now, updatedAt: now },
    };
    // stored before the outside effect: whatever happens next, the attempt is known
    if (await insertPayment(deps.db, payment)) {
      return ask(deps, payment, () => deps.provider.authorize({ key: id, amount, token, capture }));
    }
    const first = await findPayment(deps.db, id);
    if (first) return repeated(deps, input, first);
    throw fault("aborted", "PAYMENT_IN_PROGRESS", "Another payment of this order is being worked on.", {
      retryAfterSeconds: 1,
    });
  };

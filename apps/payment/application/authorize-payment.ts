import { fault, notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { equals, type Money } from "@mall/kernel/money";
import { findPayment, insertPayment, listByOrder } from "../db/payments";
import type { Deps } from "../deps";
import { isInFlight, newPayment, type Outcome, type Payment } from "../domain/payment";
import { leaveToSweeper, tryAdvance } from "./advance";
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

/** Sends an attempt for the first and only time; an outcome that is not known leaves it PROCESSING. */
async function begin(deps: Deps, payment: Payment, token: string): Promise<Payment> {
  let outcome: Outcome;
  try {
    outcome = await deps.provider.authorize(payment, token);
  } catch (error) {
    await leaveToSweeper(deps, payment, error);
    return payment;
  }
  return tryAdvance(deps, await settle(deps, payment, outcome));
}

/** Tells what became of an attempt that was sent before. */
async function repeated(deps: Deps, input: AuthorizePayment, payment: Payment): Promise<Payment> {
  // a payment that was undone before it began knows its order only
  const isAsked = input.token === "" && payment.state === "VOIDED";
  if (payment.orderId !== input.orderId || !(isAsked || equals(payment.amount, input.amount))) {
    throw fault("already_exists", "PAYMENT_EXISTS", "Another payment has this id.");
  }
  if (payment.state !== "PROCESSING" || isInFlight(payment, deps.clock())) return payment;
  return tryAdvance(deps, payment);
}

/** Why a payment of an order cannot begin. */
async function refusal(deps: Deps, orderId: Id<"ord">): Promise<Error> {
  const isClosed = (await listByOrder(deps.db, orderId)).some((payment) => payment.closesOrder);
  if (isClosed) {
    return fault(
      "failed_precondition",
      "PAYMENT_STATE_INVALID",
      "The order was cancelled; no payment of it can begin.",
      { metadata: { orderId } },
    );
  }
  return fault("aborted", "PAYMENT_IN_PROGRESS", "Another payment of this order is being worked on.", {
    retryAfterSeconds: 1,
  });
}

/**
 * Begins a payment, or tells what became of one that began before. Faults: PAYMENT_METHOD_UNKNOWN,
 * PAYMENT_IN_PROGRESS when the order has another live payment, PAYMENT_STATE_INVALID when the order was cancelled,
 * PAYMENT_EXISTS when the id is another payment's, PAYMENT_NOT_FOUND without a token.
 */
export const authorizePayment =
  (deps: Deps) =>
  async (input: AuthorizePayment): Promise<Payment> => {
    const existing = input.token === "" ? await findPayment(deps.db, input.id) : undefined;
    if (existing) return repeated(deps, input, existing);
    if (input.token === "") throw notFound("PAYMENT");
    const { name } = deps.provider;
    if (input.method !== name) {
      throw fault(
        "invalid_argument",
        "PAYMENT_METHOD_UNKNOWN",
        `There is no payment method "${input.method}".`,
        {
          violations: [{ pointer: "#/payment/method", detail: `must be "${name}"` }],
        },
      );
    }
    const { id, orderId, userId, amount, capture, token } = input;
    const payment = newPayment({ id, orderId, userId, amount, capture, provider: name }, deps.clock());
    // stored before the outside effect: whatever happens next, the attempt is known
    if (await insertPayment(deps.db, payment)) return begin(deps, payment, token);
    const first = await findPayment(deps.db, id);
    if (first) return repeated(deps, input, first);
    throw await refusal(deps, orderId);
  };

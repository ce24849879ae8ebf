import { fault, invalid } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Money } from "@mall/kernel/money";
import { leftOf, type Payment } from "./payment";

/** Life of a refund; the names are those of the contract without their prefix. */
export type RefundState = "PENDING" | "SUCCEEDED" | "FAILED";

/** What staff say about a refund, which may name the customer. */
export interface RefundNote {
  reason: string;
}

/** Money of a payment that goes back. */
export interface Refund extends RefundNote {
  id: Id<"ref">;
  paymentId: Id<"pay">;
  state: RefundState;
  amount: Money;
  /** Idempotency key whose answer is still to be written. */
  owes?: { scope: string; rpc: string; key: string; owner?: string };
  /** How often the provider was asked again. */
  attempts: number;
  createdAt: Date;
  updatedAt: Date;
}

/**
 * Minor units that a refund of `amount` takes from a payment, everything that is left without one. Faults:
 * VALIDATION for an amount that is none of this payment, PAYMENT_STATE_INVALID, REFUND_EXCEEDS_PAYMENT.
 */
export function refundable(payment: Payment, amount: Money | undefined): bigint {
  if (amount && amount.currency !== payment.amount.currency)
    throw invalid([{ pointer: "#/amount/currency", detail: `must be ${payment.amount.currency}` }]);
  if (amount && amount.minor <= 0n)
    throw invalid([{ pointer: "#/amount/minor", detail: "must be greater than 0" }]);
  if (payment.state !== "CAPTURED") {
    throw fault(
      "failed_precondition",
      "PAYMENT_STATE_INVALID",
      `No money of a payment that is ${payment.state} can go back.`,
      { metadata: { state: payment.state } },
    );
  }
  const left = leftOf(payment);
  const minor = amount?.minor ?? left;
  if (minor > 0n && minor <= left) return minor;
  throw fault("failed_precondition", "REFUND_EXCEEDS_PAYMENT", "Less of the payment is left than that.", {
    metadata: { left: String(left), currency: payment.amount.currency },
  });
}

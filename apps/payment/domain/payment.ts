import { fault } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Money } from "@mall/kernel/money";

/** Life of a payment; the names are those of the contract without their prefix. */
export type PaymentState = "PROCESSING" | "AUTHORIZED" | "CAPTURED" | "DECLINED" | "VOIDED" | "REFUNDED";

/** The only legal moves: state → possible next states. */
export const transitions: Record<PaymentState, readonly PaymentState[]> = {
  PROCESSING: ["AUTHORIZED", "CAPTURED", "DECLINED", "VOIDED"],
  AUTHORIZED: ["CAPTURED", "VOIDED"],
  CAPTURED: ["REFUNDED"],
  DECLINED: [],
  VOIDED: [],
  REFUNDED: [],
};

/** One attempt to pay an order. */
export interface Payment {
  id: Id<"pay">;
  orderId: Id<"ord">;
  userId?: Id<"usr">;
  state: PaymentState;
  amount: Money;
  provider: string;
  /** Whether the money is taken with the authorization. */
  capture: boolean;
  declineCode: string;
  version: number;
  createdAt: Date;
  updatedAt: Date;
}

/** Fault PAYMENT_STATE_INVALID unless the table allows the move. */
export function checkMove(payment: Payment, to: PaymentState): void {
  if (transitions[payment.state].includes(to)) return;
  throw fault(
    "failed_precondition",
    "PAYMENT_STATE_INVALID",
    `A payment that is ${payment.state} cannot become ${to}.`,
    {
      metadata: { state: payment.state, to },
    },
  );
}

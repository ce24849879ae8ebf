import type { Refusal } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Money } from "@mall/kernel/money";

/** Life of a checkout; the names are those of the contract without their prefix. */
export type CheckoutState =
  | "STARTED"
  | "RESERVED"
  | "ORDERED"
  | "AWAITING_PAYMENT"
  | "AUTHORIZED"
  | "CAPTURED"
  | "COMPLETED"
  | "COMPENSATING"
  | "FAILED";

/**
 * The only legal moves. RESERVED, AUTHORIZED and CAPTURED are passed without being stored where the steps around them
 * are repeatable: after a crash the step is asked again and tells how far it went.
 */
export const transitions: Record<CheckoutState, readonly CheckoutState[]> = {
  STARTED: ["RESERVED", "ORDERED", "AWAITING_PAYMENT", "COMPENSATING"],
  RESERVED: ["ORDERED", "AWAITING_PAYMENT", "COMPENSATING"],
  ORDERED: ["AWAITING_PAYMENT", "AUTHORIZED", "CAPTURED", "COMPLETED", "COMPENSATING"],
  AWAITING_PAYMENT: ["ORDERED", "COMPENSATING"],
  AUTHORIZED: ["CAPTURED", "COMPENSATING"],
  CAPTURED: ["COMPLETED"],
  COMPENSATING: ["FAILED"],
  COMPLETED: [],
  FAILED: [],
};

/** One run through the purchase of a cart. */
export interface Checkout {
  id: Id<"chk">;
  cartId: Id<"cart">;
  userId?: Id<"usr">;
  state: CheckoutState;
  orderId: Id<"ord">;
  /** The current attempt to pay. */
  paymentId: Id<"pay">;
  /** Whether a decline undoes the checkout or lets it wait for another card. */
  paysAtOnce: boolean;
  total: Money;
  failureReason: string;
  /** The refusal that the Idempotency-Key of a failed checkout replays. */
  refusal?: Refusal;
  /** The stored answer that is still owed to an Idempotency-Key. */
  owes?: { scope: string; rpc: string; key: string; owner?: string };
  /** When an unpaid order ends. */
  expiresAt?: Date;
  leaseUntil: Date;
  version: number;
  createdAt: Date;
  updatedAt: Date;
}

/**
 * Places of the calls that begin and end an attempt to pay, by which order and hold refuse one that arrives after its
 * successor: the version grows with each move, and an end comes after the begin of its attempt.
 */
export const beginSequence = ({ version }: Checkout): number => 2 * version;
export const endSequence = ({ version }: Checkout): number => 2 * version + 1;

/** Throws on a move that the table does not have: a bug, not a fault of the caller. */
export function checkMove(checkout: Checkout, to: CheckoutState): void {
  if (!transitions[checkout.state].includes(to))
    throw new Error(`checkout ${checkout.state} cannot become ${to}`);
}

/** Whether nothing will happen to the checkout any more. */
export const isTerminal = (state: CheckoutState): boolean => transitions[state].length === 0;

import { fault } from "@mall/kernel/fault";

/** Life of an order; the names are those of the contract without their prefix. */
export type OrderState =
  | "PENDING_PAYMENT"
  | "PAID"
  | "SHIPPED"
  | "DELIVERED"
  | "COMPLETED"
  | "CANCELLED"
  | "REFUNDED";

/** What the table decides on: an unpaid order either waits for the customer or has a payment running. */
export type OrderPhase = "WAITING" | "PAYING" | Exclude<OrderState, "PENDING_PAYMENT">;

/** What can happen to an order. */
export type OrderVerb =
  | "beginPayment"
  | "endPayment"
  | "pay"
  | "cancel"
  | "abandon"
  | "expire"
  | "ship"
  | "deliver"
  | "complete"
  | "refund";

/** Legal once the running payment has an outcome. */
export const busy = "BUSY";

/**
 * The only legal moves: phase → verb → next phase. A move to the same phase is a repetition, or comes before what it
 * follows. `cancel` is the customer's, `abandon` the checkout's, `refund` says that all money went back.
 */
export const transitions: Record<OrderPhase, Partial<Record<OrderVerb, OrderPhase | typeof busy>>> = {
  WAITING: {
    beginPayment: "PAYING",
    endPayment: "WAITING",
    pay: "PAID",
    cancel: "CANCELLED",
    abandon: "CANCELLED",
    expire: "CANCELLED",
  },
  PAYING: { beginPayment: "PAYING", endPayment: "WAITING", pay: "PAID", cancel: busy, abandon: "CANCELLED" },
  PAID: { cancel: "CANCELLED", ship: "SHIPPED", refund: "REFUNDED" },
  SHIPPED: { deliver: "DELIVERED", refund: "REFUNDED" },
  DELIVERED: { complete: "COMPLETED", refund: "REFUNDED" },
  COMPLETED: { refund: "REFUNDED" },
  CANCELLED: { cancel: "CANCELLED", abandon: "CANCELLED", refund: "CANCELLED" },
  REFUNDED: { refund: "REFUNDED" },
};

/** The state of the contract that a phase is shown as. */
export const stateOf = (phase: OrderPhase): OrderState =>
  phase === "WAITING" || phase === "PAYING" ? "PENDING_PAYMENT" : phase;

/** Fault ORDER_STATE_INVALID: the table has no such move. */
export const stateInvalid = (phase: OrderPhase, verb: OrderVerb) => {
  const state = stateOf(phase);
  return fault("failed_precondition", "ORDER_STATE_INVALID", `An order that is ${state} cannot ${verb}.`, {
    metadata: { state, verb },
  });
};

/**
 * The phase after a move. Faults: ORDER_STATE_INVALID when the table has no such move, ORDER_PAYMENT_IN_PROGRESS when
 * a running payment decides first.
 */
export function nextPhase(phase: OrderPhase, verb: OrderVerb): OrderPhase {
  const next = transitions[phase][verb];
  if (!next) throw stateInvalid(phase, verb);
  if (next !== busy) return next;
  throw fault("aborted", "ORDER_PAYMENT_IN_PROGRESS", "A payment of the order is being worked on.", {
    retryAfterSeconds: 1,
  });
}

import { fault } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Money } from "@mall/kernel/money";

/** Life of an order; the names are those of the contract without their prefix. */
export type OrderState =
  | "PENDING_PAYMENT"
  | "PAID"
  | "SHIPPED"
  | "DELIVERED"
  | "COMPLETED"
  | "CANCELLED"
  | "REFUNDED";

/** What can happen to an order. */
export type OrderMove = "pay" | "abandon" | "expire" | "cancel" | "ship" | "deliver" | "complete" | "refund";

/** The only legal moves: state → move → next state. */
export const transitions: Record<OrderState, Partial<Record<OrderMove, OrderState>>> = {
  PENDING_PAYMENT: { pay: "PAID", abandon: "CANCELLED", expire: "CANCELLED", cancel: "CANCELLED" },
  PAID: { cancel: "CANCELLED", ship: "SHIPPED", refund: "REFUNDED" },
  SHIPPED: { deliver: "DELIVERED", refund: "REFUNDED" },
  DELIVERED: { complete: "COMPLETED", refund: "REFUNDED" },
  COMPLETED: { refund: "REFUNDED" },
  CANCELLED: {},
  REFUNDED: {},
};

/** The state after a move. Fault ORDER_STATE_INVALID when the table has no such move. */
export function nextState(state: OrderState, move: OrderMove): OrderState {
  const next = transitions[state][move];
  if (next) return next;
  throw fault("failed_precondition", "ORDER_STATE_INVALID", `An order that is ${state} cannot ${move}.`, {
    metadata: { state, move },
  });
}

export interface Address {
  name: string;
  line1: string;
  line2: string;
  city: string;
  region: string;
  postalCode: string;
  country: string;
}

export interface OrderLine {
  variantId: Id<"var">;
  productId: Id<"prod">;
  sku: string;
  title: string;
  quantity: number;
  unitPrice: Money;
  total: Money;
}

export interface Totals {
  subtotal: Money;
  discountTotal: Money;
  shippingTotal: Money;
  taxTotal: Money;
  total: Money;
}

/** What a checkout asks to be ordered. */
export interface OrderDraft {
  id: Id<"ord">;
  checkoutId: Id<"chk">;
  userId?: Id<"usr">;
  items: OrderLine[];
  totals: Totals;
  email: string;
  shippingAddress: Address;
  shippingOption: string;
  /** When it is cancelled by itself; undefined while it is being paid. */
  expiresAt?: Date;
}

/** A snapshot of what was bought, and what became of it. */
export interface Order extends OrderDraft {
  number: string;
  state: OrderState;
  paymentId?: Id<"pay">;
  cancelReason: string;
  version: number;
  createdAt: Date;
  paidAt?: Date;
  cancelledAt?: Date;
  /** Of the last call that began or ended a payment. */
  paymentSequence: number;
  refundedTotal: Money;
}

/** Something that happened to an order. */
export interface OrderEvent {
  id: string;
  kind: string;
  detail: string;
  at: Date;
}

/** An order as it is at `now`: one that was not paid in time is cancelled, also before that is written down. */
export const asOf = (order: Order, now: Date): Order =>
  order.expiresAt && order.expiresAt <= now
    ? {
        ...order,
        state: "CANCELLED",
        cancelReason: "EXPIRED",
        cancelledAt: order.expiresAt,
        expiresAt: undefined,
      }
    : order;

/** Faults ORDER_STATE_INVALID unless the order is unpaid, OVERTAKEN when a later call about its payment came first. */
export function checkUnpaid({ state, paymentSequence }: Order, sequence: number): void {
  if (state !== "PENDING_PAYMENT")
    throw fault("failed_precondition", "ORDER_STATE_INVALID", `An order that is ${state} cannot be paid.`, {
      metadata: { state },
    });
  if (paymentSequence > sequence)
    throw fault("aborted", "OVERTAKEN", "A later call of this checkout came first; this one has no effect.");
}

/** Whether a payment runs, so that neither the customer nor time may cancel the order. */
export const isBeingPaid = (order: Order): boolean => order.state === "PENDING_PAYMENT" && !order.expiresAt;

/** Refuses a draft whose sums do not follow from its lines: ORDER_TOTALS_WRONG. */
export function checkTotals({ items, totals }: OrderDraft): void {
  const { subtotal, discountTotal, shippingTotal, taxTotal, total } = totals;
  const amounts = [...items.flatMap((line) => [line.unitPrice, line.total]), ...Object.values(totals)];
  const rules = [
    amounts.every((amount) => amount.currency === total.currency && amount.minor >= 0n),
    items.every((line) => line.total.minor === line.unitPrice.minor * BigInt(line.quantity)),
    subtotal.minor === items.reduce((sum, line) => sum + line.total.minor, 0n),
    total.minor === subtotal.minor - discountTotal.minor + shippingTotal.minor + taxTotal.minor,
  ];
  if (!rules.every(Boolean)) {
    throw fault("invalid_argument", "ORDER_TOTALS_WRONG", "The totals do not follow from the lines.");
  }
}

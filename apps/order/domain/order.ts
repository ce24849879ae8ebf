import { fault } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Money } from "@mall/kernel/money";
import type { OrderState } from "./transitions";

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

/** What an order says about its buyer. */
export interface Person {
  email: string;
  shippingAddress: Address;
  /** Why the customer cancelled it, if that was told. */
  cancelWords?: string;
}

/** What a checkout asks to be ordered. */
export interface OrderDraft {
  id: Id<"ord">;
  checkoutId: Id<"chk">;
  userId?: Id<"usr">;
  items: OrderLine[];
  totals: Totals;
  person: Person;
  shippingOption: string;
  /** When it is cancelled by itself; undefined while it is being paid. */
  expiresAt?: Date;
}

/** What went back of one payment. */
export interface Refunded {
  total: Money;
  /** Nothing of the payment is left. */
  inFull: boolean;
}

/** A snapshot of what was bought, and what became of it. */
export interface Order extends Omit<OrderDraft, "person"> {
  /** Undefined once the buyer was erased. */
  person?: Person;
  number: string;
  state: OrderState;
  paymentId?: Id<"pay">;
  /** A code, such as CUSTOMER; empty unless it was cancelled. */
  cancelReason: string;
  version: number;
  createdAt: Date;
  paidAt?: Date;
  cancelledAt?: Date;
  /** Of the last call that began or ended a payment. */
  paymentSequence: number;
  /** What went back of the payment that paid it. */
  refundedTotal: Money;
  /** What went back of payments that had not paid it: of an attempt that failed, or before the order knew of it. */
  earlyRefunds: Readonly<Record<Id<"pay">, Refunded>>;
}

/** Something that happened to an order; `sequence` is the order's version after it. */
export interface OrderEvent {
  id: string;
  sequence: number;
  kind: string;
  detail: string;
  at: Date;
}

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

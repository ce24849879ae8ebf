import type { PaymentIntent } from "./objects";

export type EntryKind = "authorize" | "capture" | "refund" | "cancel" | "refund_failed";

/** One movement of money. Entries are only ever added. */
export interface Entry {
  /** Counts the entries of the books, from 1. */
  sequence: number;
  kind: EntryKind;
  /** Minor units. */
  amount: number;
  /** Small letters, as Stripe writes it. */
  currency: string;
  paymentIntent: string;
  /** The refund, for its two kinds. */
  refund: string | null;
  /** Of the intent. */
  metadata: Record<string, string>;
  /** RFC 3339. */
  at: string;
}

export interface EntryFilter {
  orderId?: string;
  paymentId?: string;
  paymentIntent?: string;
}

/** What the entries of one order in one currency come to, in minor units. */
export interface OrderSum {
  orderId: string;
  currency: string;
  authorized: number;
  captured: number;
  canceled: number;
  refunded: number;
  /** Promised, and neither taken nor let go. */
  held: number;
  /** Taken and not given back. */
  net: number;
  /** How often money was taken. */
  captures: number;
  /** Intents with an entry. */
  paymentIntents: number;
}

export const newEntry = (
  kind: EntryKind,
  intent: PaymentIntent,
  amount: number,
  refund: string | null = null,
): Omit<Entry, "sequence" | "at"> => ({
  kind,
  amount,
  currency: intent.currency,
  paymentIntent: intent.id,
  refund,
  metadata: intent.metadata,
});

/** The entries that a filter leaves, oldest first. */
export const entriesOf = (
  entries: readonly Entry[],
  { orderId, paymentId, paymentIntent }: EntryFilter,
): Entry[] =>
  entries.filter(
    (entry) =>
      (orderId === undefined || entry.metadata.order_id === orderId) &&
      (paymentId === undefined || entry.metadata.payment_id === paymentId) &&
      (paymentIntent === undefined || entry.paymentIntent === paymentIntent),
  );

const total = (entries: readonly Entry[], kind: EntryKind): number =>
  entries.reduce((sum, entry) => sum + (entry.kind === kind ? entry.amount : 0), 0);

function sumOf(entries: readonly Entry[]): OrderSum {
  const [{ metadata, currency } = { metadata: {} as Record<string, string>, currency: "" }] = entries;
  const authorized = total(entries, "authorize");
  const captured = total(entries, "capture");
  const canceled = total(entries, "cancel");
  const refunded = total(entries, "refund") - total(entries, "refund_failed");
  return {
    orderId: metadata.order_id ?? "",
    currency,
    authorized,
    captured,
    canceled,
    refunded,
    held: authorized - captured - canceled,
    net: captured - refunded,
    captures: entries.filter(({ kind }) => kind === "capture").length,
    paymentIntents: new Set(entries.map(({ paymentIntent }) => paymentIntent)).size,
  };
}

/** Sums by order and currency, in the order of their first entry; what has no order_id is order "". */
export const sumsOf = (entries: readonly Entry[]): OrderSum[] =>
  [
    ...Map.groupBy(entries, ({ metadata, currency }) => `${metadata.order_id ?? ""} ${currency}`).values(),
  ].map(sumOf);

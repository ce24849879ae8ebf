import type { Outcome, Payment } from "../domain/payment";

/** A payment as the provider has to know it; its id is the key under which the provider acts once. */
export type Attempt = Pick<Payment, "id" | "orderId" | "amount" | "capture" | "providerRef" | "createdAt"> & {
  /** How often the same was asked before. */
  attempts: number;
};

/** What the provider's books say about an attempt. */
export type Standing =
  /** Nothing was sent so far; the attempt can still be made. */
  { kind: "open"; ref: string } | Outcome;

/** What the provider's books say about money. */
export interface Books {
  captured: bigint;
  refunded: bigint;
}

/** One refund; its id is the key under which the provider pays back once. */
export interface RefundOrder {
  id: string;
  amount: bigint;
  createdAt: Date;
  /** How often the same was asked before. */
  attempts: number;
}

export type RefundOutcome = "succeeded" | "failed";

/** Something happened at the provider: a hint to look, not to be believed beyond that. */
export interface Notice {
  /** The provider's id of the message; the same message may come again. */
  id: string;
  /** Our id of the payment, as the provider was told; empty when it was told none. */
  paymentId: string;
  /** The provider's name of the attempt; empty when the message is about none. */
  ref: string;
  /** Our id of the refund, if the message is about one. */
  refundId: string;
}

/**
 * Moves money. Every method may be repeated: the provider acts once for the id of an attempt or a refund. A rejection
 * means that the outcome is not known, never that the provider refused. A call ends within 4 seconds.
 */
export interface PaymentProvider {
  readonly name: string;
  /** Asks for the money of an attempt with the customer's one-time token, once in the life of an attempt. */
  authorize(attempt: Attempt, token: string): Promise<Outcome>;
  /** Tells what became of an attempt; moves no money. */
  lookUp(attempt: Attempt): Promise<Standing>;
  /** Takes authorized money. */
  capture(attempt: Attempt): Promise<Outcome>;
  /**
   * Drops an attempt, also one that the provider never saw: an `authorize` that comes later has no effect. Captured
   * money stays, and the outcome says so.
   */
  void(attempt: Attempt): Promise<Outcome>;
  /** Pays captured money back. */
  refund(attempt: Attempt, refund: RefundOrder): Promise<RefundOutcome>;
  /** What the provider took and paid back for an attempt. */
  books(attempt: Attempt): Promise<Books>;
  /**
   * Reads a message of the provider: undefined when it is not signed by the provider, or too old. Absent when the
   * provider sends none.
   */
  parseWebhook?(body: string, header: (name: string) => string | undefined): Promise<Notice | undefined>;
}

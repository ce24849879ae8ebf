import type { Money } from "@mall/kernel/money";

/** What became of an attempt at the provider. */
export type Outcome =
  | { kind: "authorized" }
  | { kind: "captured" }
  | { kind: "declined"; code: string }
  | { kind: "voided" };

export interface Charge {
  /** The mall's key for the attempt: the provider acts once for it, whatever happens on the way. */
  key: string;
  amount: Money;
  token: string;
  capture: boolean;
}

/**
 * Moves money. Every method is idempotent by key; a rejection means that the outcome is not known, never that the
 * provider refused.
 */
export interface PaymentProvider {
  readonly name: string;
  authorize(charge: Charge): Promise<Outcome>;
  /** Tells what became of a key. A key that the provider never saw is closed: a late `authorize` has no effect. */
  resolve(key: string): Promise<Outcome>;
  capture(key: string): Promise<Outcome>;
  /** Drops an authorization, or pays captured money back in full. */
  cancel(key: string): Promise<Outcome>;
}

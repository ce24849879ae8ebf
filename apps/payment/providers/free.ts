import type { Outcome } from "../domain/payment";
import type { Attempt, PaymentProvider } from "./port";

const settled = ({ capture, providerRef: ref }: Attempt): Outcome =>
  capture ? { kind: "captured", ref, captured: 0n } : { kind: "authorized", ref };

/** A provider that is not asked about payments of 0: they are never declined, and most providers refuse them. */
export function freeOfCharge(provider: PaymentProvider): PaymentProvider {
  const isFree = (attempt: Attempt) => attempt.amount.minor === 0n;
  return {
    name: provider.name,
    authorize: async (attempt, token) =>
      isFree(attempt) ? settled(attempt) : provider.authorize(attempt, token),
    lookUp: async (attempt) => (isFree(attempt) ? settled(attempt) : provider.lookUp(attempt)),
    capture: async (attempt) =>
      isFree(attempt) ? { kind: "captured", ref: "", captured: 0n } : provider.capture(attempt),
    void: async (attempt) => (isFree(attempt) ? { kind: "voided", ref: "" } : provider.void(attempt)),
    refund: (attempt, refund) => provider.refund(attempt, refund),
    books: async (attempt) => (isFree(attempt) ? { captured: 0n, refunded: 0n } : provider.books(attempt)),
    parseWebhook: provider.parseWebhook?.bind(provider),
  };
}

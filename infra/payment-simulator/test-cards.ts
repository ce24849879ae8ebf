/** What a card does when it is asked for money. */
export type CardBehaviour =
  | { kind: "succeeds" }
  | { kind: "declines"; code: string; declineCode: string; message: string }
  | { kind: "asks" }
  | { kind: "processes" };

export interface TestCard {
  behaviour: CardBehaviour;
  /** Refunds stay pending until they are settled. */
  refundsWait: boolean;
}

const succeeds: TestCard = { behaviour: { kind: "succeeds" }, refundsWait: false };
const refundsWait: TestCard = { behaviour: { kind: "succeeds" }, refundsWait: true };
const declines = (code: string, declineCode: string, message: string): TestCard => ({
  behaviour: { kind: "declines", code, declineCode, message },
  refundsWait: false,
});

const wasDeclined = "Your card was declined.";
const declined: Readonly<Record<string, TestCard>> = {
  "": declines("card_declined", "generic_decline", wasDeclined),
  InsufficientFunds: declines("card_declined", "insufficient_funds", "Your card has insufficient funds."),
  LostCard: declines("card_declined", "lost_card", wasDeclined),
  StolenCard: declines("card_declined", "stolen_card", wasDeclined),
  ExpiredCard: declines("expired_card", "expired_card", "Your card has expired."),
  IncorrectCvc: declines("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect."),
  ProcessingError: declines(
    "processing_error",
    "processing_error",
    "An error occurred while processing your card. Try again in a little bit.",
  ),
};

const brands = ["visa", "visa_debit", "mastercard", "mastercard_debit", "amex", "discover", "diners", "jcb"];

const cards = new Map<string, TestCard>([
  ...brands.flatMap((brand) => [
    [`tok_${brand}`, succeeds] as const,
    [`pm_card_${brand}`, succeeds] as const,
  ]),
  ...Object.entries(declined).flatMap(([name, card]) => [
    [`pm_card_visa_chargeDeclined${name}`, card] as const,
    [`pm_card_chargeDeclined${name}`, card] as const,
    [`tok_visa_chargeDeclined${name}`, card] as const,
    [`tok_chargeDeclined${name}`, card] as const,
  ]),
  ["pm_card_authenticationRequired", { behaviour: { kind: "asks" }, refundsWait: false }],
  ["tok_processing", { behaviour: { kind: "processes" }, refundsWait: false }],
  ...["pm_card_pendingRefund", "tok_pendingRefund", "pm_card_refundFail", "tok_refundFail"].map(
    (token) => [token, refundsWait] as const,
  ),
  // the mall's own names, which its fake provider knows too
  ["tok_ok", succeeds],
  ["tok_lost", succeeds],
  ["tok_error", succeeds],
  ["tok_declined", declined[""]!],
  ["tok_insufficient_funds", declined.InsufficientFunds!],
  ["tok_pending_refund", refundsWait],
  ["tok_refund_fail", refundsWait],
]);

/** The card of a test token; undefined when there is none. */
export const testCard = (token: string): TestCard | undefined => cards.get(token);

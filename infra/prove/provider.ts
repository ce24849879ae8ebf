import { uuidOf } from "@mall/kernel/id";
import type postgres from "postgres";

/** What a card does at the provider. */
export type Card = "good" | "declined" | "lost";

/** Answers too late, not at all after the money moved, or with an error. */
export type Misbehaviour = "timeout" | "lost answer" | "error";

/** One attempt to pay in the provider's own books; amounts are minor units. */
export interface LedgerEntry {
  /** Id of our payment, a UUID. */
  paymentId: string;
  captures: number;
  captured: bigint;
  refunded: bigint;
}

/** The payment provider that the cluster uses, as its operator sees it. */
export interface Provider {
  name: string;
  /** Environment of the payment service. */
  env: Record<string, string>;
  /** What a customer with such a card sends. */
  payment(card: Card): { method: string; token: string };
  ledger(sql: postgres.Sql): Promise<LedgerEntry[]>;
  /** Fails the next requests in one way; a provider that cannot does nothing. */
  misbehave(how: Misbehaviour, requests: number): Promise<void>;
  /** How often it did, since the last time it was asked. */
  misbehaved(): Promise<Record<string, number>>;
  stop(): Promise<void>;
}

const fakeTokens: Record<Card, string> = { good: "tok_ok", declined: "tok_declined", lost: "tok_lost" };

/** The fake provider: its books are a table of their own. */
export async function fakeProvider(): Promise<Provider> {
  return {
    name: "fake",
    env: { PAYMENT_PROVIDER: "fake" },
    payment: (card) => ({ method: "fake", token: fakeTokens[card] }),
    async ledger(sql) {
      const rows = await sql<{ key: string; state: string; amount: string; refunded: string }[]>`
        select key, state, amount, refunded from payment.fake_charges`;
      return rows.map(({ key, state, amount, refunded }) => {
        const captured = state === "captured" || state === "refunded";
        return {
          paymentId: uuidOf(key),
          captures: captured ? 1 : 0,
          captured: captured ? BigInt(amount) : 0n,
          refunded: BigInt(refunded),
        };
      });
    },
    misbehave: async () => {},
    misbehaved: async () => ({}),
    stop: async () => {},
  };
}

/** The provider of this run. */
export const startProvider = (): Promise<Provider> => fakeProvider();

import type { Db } from "@mall/kernel/db/client";
import { sqlStatement } from "@mall/kernel/db/statement";
import { sql } from "drizzle-orm";
import type { Charge, Outcome, PaymentProvider } from "./port";

/** What the fake provider does with a token; unknown tokens are declined as invalid. */
const behaviours: Record<string, { declineCode?: string; loses?: "request" | "answer" }> = {
  tok_ok: {},
  tok_declined: { declineCode: "card_declined" },
  tok_insufficient_funds: { declineCode: "insufficient_funds" },
  /** The money is taken, the answer never arrives. */
  tok_lost: { loses: "answer" },
  /** The provider fails before it does anything. */
  tok_error: { loses: "request" },
};

interface ChargeRow {
  state: "authorized" | "captured" | "declined" | "voided" | "refunded";
  decline_code: string;
}

const find = sqlStatement<{ key: string }, ChargeRow>(
  (p) => sql`select state, decline_code from payment.fake_charges where key = ${p.key}`,
);

const insert = sqlStatement<
  { key: string; state: string; amount: string; currency: string; declineCode: string; now: Date },
  ChargeRow
>(
  (
    p,
  ) => sql`insert into payment.fake_charges (key, state, amount, refunded, currency, decline_code, created_at)
    values (${p.key}, ${p.state}, ${p.amount}::text::bigint, 0, ${p.currency}, ${p.declineCode}, ${p.now})
    on conflict do nothing returning state, decline_code`,
);

const capture = sqlStatement<{ key: string }, ChargeRow>(
  (p) => sql`update payment.fake_charges set state = 'captured' where key = ${p.key} and state = 'authorized'
    returning state, decline_code`,
);

const cancel = sqlStatement<{ key: string }, ChargeRow>(
  (p) => sql`update payment.fake_charges
    set refunded = case when state = 'captured' then amount else 0 end,
        state = case when state = 'captured' then 'refunded' else 'voided' end
    where key = ${p.key} and state in ('authorized', 'captured') returning state, decline_code`,
);

function outcomeOf(row: ChargeRow): Outcome {
  if (row.state === "declined") return { kind: "declined", code: row.decline_code };
  return { kind: row.state === "refunded" ? "voided" : row.state };
}

/**
 * A programmable provider for development and tests, steered by the token. Its books are a table of their own that
 * it writes in its own transactions, as an outside provider would.
 */
export function fakeProvider(db: Db, clock: () => Date): PaymentProvider {
  const book = async (
    key: string,
    row: { state: string; amount?: bigint; currency?: string; declineCode?: string },
  ) => {
    const { state, amount = 0n, currency = "XXX", declineCode = "" } = row;
    const [made] = await insert(db, {
      key,
      state,
      amount: String(amount),
      currency,
      declineCode,
      now: clock(),
    });
    return outcomeOf(made ?? (await find(db, { key }))[0]!);
  };
  return {
    name: "fake",
    async authorize({ key, amount, token, capture: takes }: Charge) {
      const behaviour = behaviours[token] ?? { declineCode: "invalid_token" };
      if (behaviour.loses === "request") throw new Error("the fake provider failed before it did anything");
      const accepted = takes ? "captured" : "authorized";
      const outcome = await book(key, {
        state: behaviour.declineCode ? "declined" : accepted,
        amount: amount.minor,
        currency: amount.currency,
        declineCode: behaviour.declineCode,
      });
      if (behaviour.loses === "answer") throw new Error("the fake provider's answer was lost");
      return outcome;
    },
    resolve: (key) => book(key, { state: "voided" }),
    async capture(key) {
      const [row] = await capture(db, { key });
      return outcomeOf(row ?? (await find(db, { key }))[0]!);
    },
    async cancel(key) {
      const [row] = await cancel(db, { key });
      return row ? outcomeOf(row) : book(key, { state: "voided" });
    },
  };
}

import type { Db, Session } from "@mall/kernel/db/client";
import { sqlStatement } from "@mall/kernel/db/statement";
import { sql } from "drizzle-orm";
import type { Outcome } from "../domain/payment";
import type { Attempt, PaymentProvider, RefundOutcome } from "./port";

type Call = "authorize" | "capture" | "void" | "refund";

/** What the fake provider does with a token; unknown tokens are declined as invalid. */
const behaviours: Record<string, { declineCode?: string; fails?: true; loses?: Call; refuses?: "refund" }> = {
  tok_ok: {},
  tok_declined: { declineCode: "card_declined" },
  tok_insufficient_funds: { declineCode: "insufficient_funds" },
  /** The provider fails before it does anything. */
  tok_error: { fails: true },
  /** The money is taken, the answer never arrives. */
  tok_lost: { loses: "authorize" },
  /** The first answer to a capture, a void or a refund never arrives, although it is done. */
  tok_capture_lost: { loses: "capture" },
  tok_void_lost: { loses: "void" },
  tok_refund_lost: { loses: "refund" },
  /** Refunds are refused. */
  tok_refund_refused: { refuses: "refund" },
};

interface ChargeRow {
  state: "authorized" | "captured" | "declined" | "voided" | "refunded";
  decline_code: string;
  token: string;
  amount: string;
  refunded: string;
}

const columns = sql.raw("state, decline_code, token, amount::text, refunded::text");

const find = sqlStatement<{ key: string }, ChargeRow>(
  (p) => sql`select ${columns} from payment.fake_charges where key = ${p.key}`,
);

interface InsertParams {
  key: string;
  state: string;
  amount: string;
  currency: string;
  declineCode: string;
  token: string;
  now: Date;
}

const insert = sqlStatement<InsertParams, ChargeRow>(
  (
    p,
  ) => sql`insert into payment.fake_charges (key, state, amount, refunded, currency, decline_code, token, created_at)
    values (${p.key}, ${p.state}, ${p.amount}::text::bigint, 0, ${p.currency}, ${p.declineCode}, ${p.token}, ${p.now})
    on conflict do nothing returning ${columns}`,
);

const move = sqlStatement<{ key: string; to: string }, ChargeRow>(
  (p) => sql`update payment.fake_charges set state = ${p.to} where key = ${p.key} and state = 'authorized'
    returning ${columns}`,
);

const insertRefund = sqlStatement<
  { key: string; chargeKey: string; amount: string; now: Date },
  { made: number }
>(
  (p) => sql`insert into payment.fake_refunds (key, charge_key, amount, state, created_at)
    values (${p.key}, ${p.chargeKey}, ${p.amount}::text::bigint, 'succeeded', ${p.now})
    on conflict do nothing returning 1 as made`,
);

const findRefund = sqlStatement<{ key: string }, { state: RefundOutcome }>(
  (p) => sql`select state from payment.fake_refunds where key = ${p.key}`,
);

const failRefund = sqlStatement<{ key: string }, object>(
  (p) => sql`update payment.fake_refunds set state = 'failed' where key = ${p.key}`,
);

const payBack = sqlStatement<{ key: string; amount: string }, ChargeRow>(
  (p) => sql`update payment.fake_charges
    set refunded = refunded + ${p.amount}::text::bigint,
        state = case when refunded + ${p.amount}::text::bigint = amount then 'refunded' else state end
    where key = ${p.key} and state = 'captured' and refunded + ${p.amount}::text::bigint <= amount
    returning ${columns}`,
);

function outcomeOf(key: string, row: ChargeRow): Outcome {
  if (row.state === "declined") return { kind: "declined", ref: key, code: row.decline_code };
  if (row.state === "captured" || row.state === "refunded")
    return { kind: "captured", ref: key, captured: BigInt(row.amount) };
  return { kind: row.state, ref: key };
}

const lost = () => new Error("the fake provider's answer was lost");

/**
 * A programmable provider for development and tests, steered by the token. Its books are tables of their own that it
 * writes in its own transactions, as an outside provider would. It sends no webhooks.
 */
export function fakeProvider(db: Db, clock: () => Date): PaymentProvider {
  const row = async (session: Session, key: string) => (await find(session, { key }))[0];
  const book = (attempt: Attempt, state: string, declineCode = "", token = "") =>
    insert(db, {
      ...{ key: attempt.id, state, declineCode, token, now: clock() },
      amount: String(attempt.amount.minor),
      currency: attempt.amount.currency,
    });

  /** Moves an authorization; the answer is what the charge is then. */
  async function moved(
    attempt: Attempt,
    to: "captured" | "voided",
    call: Call,
  ): Promise<Outcome | undefined> {
    const [changed] = await move(db, { key: attempt.id, to });
    if (changed && behaviours[changed.token]?.loses === call) throw lost();
    const found = changed ?? (await row(db, attempt.id));
    return found && outcomeOf(attempt.id, found);
  }

  return {
    name: "fake",
    async authorize(attempt, token) {
      const behaviour = behaviours[token] ?? { declineCode: "invalid_token" };
      if (behaviour.fails) throw new Error("the fake provider failed before it did anything");
      const accepted = attempt.capture ? "captured" : "authorized";
      const state = behaviour.declineCode ? "declined" : accepted;
      const [made] = await book(attempt, state, behaviour.declineCode, token);
      if (made && behaviour.loses === "authorize") throw lost();
      return outcomeOf(attempt.id, made ?? (await row(db, attempt.id))!);
    },
    async lookUp(attempt) {
      const found = await row(db, attempt.id);
      return found ? outcomeOf(attempt.id, found) : { kind: "open", ref: "" };
    },
    capture: async (attempt) => (await moved(attempt, "captured", "capture"))!,
    async void(attempt) {
      const [closed] = await book(attempt, "voided");
      return closed ? outcomeOf(attempt.id, closed) : (await moved(attempt, "voided", "void"))!;
    },
    async refund(attempt, { id: key, amount }) {
      const { outcome, behaviour } = await db.tx(async (tx) => {
        const charge = { key: attempt.id, amount: String(amount) };
        const made = await insertRefund(tx, { ...charge, key, chargeKey: attempt.id, now: clock() });
        if (made.length === 0) return { outcome: (await findRefund(tx, { key }))[0]!.state, behaviour: {} };
        const steered = behaviours[(await row(tx, attempt.id))?.token ?? ""] ?? {};
        const paid = steered.refuses === "refund" ? [] : await payBack(tx, charge);
        if (paid.length === 0) await failRefund(tx, { key });
        return { outcome: paid.length === 0 ? "failed" : "succeeded", behaviour: steered } as const;
      });
      if ("loses" in behaviour && behaviour.loses === "refund") throw lost();
      return outcome;
    },
    async books(attempt) {
      const found = await row(db, attempt.id);
      const isTaken = found?.state === "captured" || found?.state === "refunded";
      return { captured: isTaken ? BigInt(found.amount) : 0n, refunded: BigInt(found?.refunded ?? 0) };
    },
  };
}
